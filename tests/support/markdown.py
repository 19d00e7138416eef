"""Code blocks of a Markdown file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

NOT_RUN = "# not run by the tests"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, its text, and where it stands."""

    language: str
    text: str
    line: int

    @property
    def is_program(self) -> bool:
        """Whether it is a script that runs until somebody stops it."""
        return '__name__ == "__main__"' in self.text

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block, without those that carry the marker."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return [line for line in lines if NOT_RUN not in line]


def blocks_of(path: Path, *languages: str) -> list[Block]:
    """The blocks of some languages, in order."""
    text = path.read_text(encoding="utf-8")
    found = [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 2)
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if block.language in languages]
