"""What is done in the console, written as a scenario."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..local.vocabulary import ERROR_TYPES
from .references import escape
from .scenario import MISSING
from .words import dump

SLOW = 3.0
HEADER = "# Recorded; run it with: conversimple test FILE --agent PATH\n"


class Recorder:
    """Notes what happens, and writes it as a scenario that happens again.

    The scenario passes when the agent answers the same. May be used from any thread;
    the order is that of the calls.
    """

    def __init__(self) -> None:
        # Appended to from any thread; a deque needs no lock for that.
        self._steps: deque[tuple[str, dict[str, Any]]] = deque()

    def __len__(self) -> int:
        return len(self._steps)

    def started(self, conversation: str | None = None) -> None:
        """A conversation was started."""
        self._note("start", {"start": conversation})

    def ended(self, conversation: str | None = None) -> None:
        """A conversation was ended."""
        self._note("end", {"end": conversation})

    def called(
        self,
        tool_name: str,
        arguments: Mapping[str, Any],
        *,
        result: Any = MISSING,
        error: Mapping[str, Any] | None = None,
        seconds: float = 0.0,
        conversation: str | None = None,
    ) -> None:
        """A tool was called and has answered.

        An error that no agent can answer, such as that nobody answered in time, is
        not the scenario's: the call is left out.

        Args:
            tool_name: the tool.
            arguments: what it was called with.
            result: what it answered, if it did.
            error: the ``type`` and ``message`` that it failed with, if it did.
            seconds: how long it took; who was slow is given time.
            conversation: where, if there are several.

        Raises:
            ValueError, TypeError: something has no JSON form.
        """
        if error is not None and error["type"] not in ERROR_TYPES:
            return
        step: dict[str, Any] = {"call": tool_name}
        if conversation is not None:
            step["in"] = conversation
        if arguments:
            step["arguments"] = escape(dict(arguments))
        if error is not None:
            step["error"] = {"type": error["type"], "message": escape(error["message"])}
        elif result is not MISSING:
            step["result"] = escape(result)
        if seconds > SLOW:
            step["within"] = math.ceil(seconds) * 3
        self._note("call", step)

    def fault(self, name: str, options: Mapping[str, Any] | None = None) -> None:
        """A fault was made, by its name and its options in ``platform.faults``.

        Raises:
            ValueError, TypeError: an option has no JSON form.
        """
        step: dict[str, Any] = {"fault": name}
        given = {key: each for key, each in (options or {}).items() if each is not None}
        if given:
            step["options"] = escape(given)
        self._note("fault", step)

    def write(
        self, path: str | Path, name: str = "what was done in the console"
    ) -> None:
        """Write everything so far as a scenario file, in place of the one there.

        Raises:
            OSError: it cannot be written.
        """
        Path(path).write_text(self.text(name), encoding="utf-8")

    def text(self, name: str = "what was done in the console") -> str:
        """Everything so far, as the text of a scenario file."""
        steps = list(self._playable()) or ["start"]
        return HEADER + dump([{"name": name, "steps": steps}])

    def _note(self, word: str, step: dict[str, Any]) -> None:
        # A copy, as the wire would have it: who called may change theirs.
        copy = json.loads(json.dumps(step, allow_nan=False))
        json.dumps(copy, ensure_ascii=False).encode()
        self._steps.append((word, copy))

    def _playable(self) -> Iterator[Any]:
        """The steps; no conversation ends that the scenario has not started."""
        live: list[str | None] = []
        for word, step in self._steps.copy():
            if word == "call":
                name = step.get("in")
                if not _is_live(name, live):
                    live.append(name)
            elif word == "start":
                live.append(step["start"])
            elif word == "end":
                name = step["end"]
                if not _is_live(name, live):
                    yield _short("start", name)
                elif name is None:
                    live.pop()
                else:
                    live.remove(name)
            yield _short(word, step[word]) if word in ("start", "end") else step


def _is_live(name: str | None, live: list[str | None]) -> bool:
    return bool(live) if name is None else name in live


def _short(word: str, name: str | None) -> Any:
    return word if name is None else {word: name}
