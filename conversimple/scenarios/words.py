"""YAML's plain words as JSON has them; both ways, so that what is written is read."""

from __future__ import annotations

import re
from typing import Any

import yaml

NULL = "tag:yaml.org,2002:null"
BOOL = "tag:yaml.org,2002:bool"
INT = "tag:yaml.org,2002:int"
FLOAT = "tag:yaml.org,2002:float"
TEXT = "tag:yaml.org,2002:str"
DOUBTFUL = "!doubtful"

_DIGITS = list("0123456789")
_WORDS = (
    (NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (INT, r"-?(?:0|[1-9][0-9]*)", ["-", *_DIGITS]),
    (
        FLOAT,
        r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?",
        ["-", *_DIGITS],
    ),
    # What some readers of YAML take for a truth value or a number, and others do not.
    (DOUBTFUL, r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF", list("yYnNoO")),
    (
        DOUBTFUL,
        r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+"
        r"|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|\.(?:inf|Inf|INF|nan|NaN|NAN))",
        ["-", "+", ".", *_DIGITS],
    ),
)


class Loader(yaml.SafeLoader):
    """Knows JSON's words only: dates and times of day are texts."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


class Dumper(yaml.SafeDumper):
    """Quotes each text that any reader might take for something else."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out, as often as it occurs."""
        return True


def _text(dumper: Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if not all(char.isprintable() or char == "\n" for char in text):
        # PyYAML folds some of these away when it does not escape them.
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar(TEXT, text, style=style)


def _teach() -> None:
    Dumper.add_representer(str, _text)
    for tag, pattern, first in _WORDS:
        word = re.compile(rf"(?:{pattern})\Z")
        Loader.add_implicit_resolver(tag, word, first)
        Dumper.add_implicit_resolver(tag, word, first)
    for letter, words in yaml.SafeDumper.yaml_implicit_resolvers.items():
        Dumper.yaml_implicit_resolvers.setdefault(letter, []).extend(words)


_teach()


def dump(documents: list[Any]) -> str:
    """Write values as YAML documents that `Loader` reads as the same values."""
    return yaml.dump_all(
        documents,
        Dumper=Dumper,
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=88,
    )
