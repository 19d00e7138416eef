"""Python values as strict JSON: what a tool returned, and text to make digests of."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from .scalars import write_scalar

Segment = str | int
Path = tuple[Segment, ...]

MAX_DEPTH = 100
MAX_SHOWN = 60

_CURE = (
    "return JSON values, a dataclass, a TypedDict, a NamedTuple, a pydantic model, "
    "or another type that the documentation lists"
)
_NAME = re.compile(rf"[^\W0-9]\w{{0,{MAX_SHOWN}}}")
_LEAVES = frozenset((str, int, float, bool, type(None)))
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


class ResultInvalid(Exception):
    """A value cannot be written as JSON; the text says where, and the cure.

    Attributes:
        path: where in the value, such as ``result.items[3].price``.
        problem: what is wrong there, without the value itself.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def encode_result(value: Any) -> str:
    """Write a tool's result as compact JSON that every peer can read.

    Raises:
        ResultInvalid: the value, or a part of it, has no JSON form.
    """
    try:
        return _encode(value)
    except ResultInvalid:
        raise
    except Exception as error:  # properties and iterators of the value run here
        problem = f"it cannot be read ({type(error).__name__}); {_CURE}"
        raise ResultInvalid("result", problem) from error


def plain(value: Any) -> Any:
    """Return the value as dicts, lists, strings, numbers, booleans and None.

    Raises:
        ResultInvalid: the value, or a part of it, has no JSON form.
    """
    return _plain(value, (), frozenset())


def canonical(value: Any) -> str:
    """Write a JSON value so that equal values give equal text, for digests."""
    return _CANONICAL.encode(value)


def path_text(root: str, path: Path) -> str:
    """Write a path into a JSON value as one would write it in code.

    Args:
        root: the name of the whole value, or nothing.
        path: keys and indexes, outermost first.
    """
    text = root
    for segment in path:
        if isinstance(segment, str) and _NAME.fullmatch(segment):
            text += f".{segment}" if text else segment
        else:
            text += f"[{shortened(segment)}]"
    return text


def shortened(value: Any) -> str:
    """Write a scalar JSON value for a message: ASCII, and cut to a short length."""
    if isinstance(value, str) and len(value) > MAX_SHOWN:
        return json.dumps(value[:MAX_SHOWN] + "...")
    return json.dumps(value)


def _encode(value: Any) -> str:
    if _is_plain(value, MAX_DEPTH):
        try:
            return _utf8(_ENCODER.encode(value))
        except ValueError:
            pass  # NaN or a lone surrogate: the walk below says where
    return _ENCODER.encode(plain(value))


def _is_plain(value: Any, depth: int) -> bool:
    # json writes a NamedTuple as a list and the key 1 as "1" without a word, so only
    # exact types may pass by the walk. The depth also ends cycles.
    kind = type(value)
    if kind in _LEAVES:
        return True
    if kind is dict:
        children: Iterable[Any] = value.values()
        for key in value:
            if type(key) is not str:
                return False
    elif kind is list:
        children = value
    else:
        return False
    for child in children:
        if type(child) not in _LEAVES and (
            depth <= 1 or not _is_plain(child, depth - 1)
        ):
            return False
    return True


def _utf8(text: str) -> str:
    # A lone surrogate has no UTF-8: the server would close the whole connection.
    if not text.isascii():
        text.encode("utf-8")
    return text


def _plain(value: Any, path: Path, inside: frozenset[int]) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, path, inside)
    if value is None or isinstance(value, (str, int, float)):
        return _leaf(value, path)
    text = _text(value, path)
    if text is not None:
        return _leaf(text, path)
    if id(value) in inside:
        raise _invalid(path, "it contains itself; return a value without cycles")
    if len(inside) >= MAX_DEPTH:
        raise _invalid(
            path, f"nested deeper than {MAX_DEPTH} levels; return a flatter value"
        )
    return _container(value, path, inside | {id(value)})


def _leaf(value: Any, path: Path) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise _not_finite(path)
    if isinstance(value, str):
        try:
            _utf8(value)
        except UnicodeEncodeError:
            raise _invalid(
                path,
                "half of a surrogate pair cannot be sent as UTF-8; "
                'clean the text, such as with .encode("utf-8", "replace").decode()',
            ) from None
    return value


def _container(value: Any, path: Path, inside: frozenset[int]) -> Any:
    if hasattr(type(value), "model_dump"):
        return _plain(_dumped(value, path), path, inside)
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
        return _object(pairs, path, inside)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _object(zip(value._fields, value), path, inside)
    if isinstance(value, Mapping):
        return _object(value.items(), path, inside)
    if isinstance(value, Set):
        return _ordered(_array(value, path, inside))
    if isinstance(value, Sequence):
        return _array(value, path, inside)
    raise _invalid(path, f"{type(value).__name__} has no JSON form; {_CURE}")


def _dumped(model: Any, path: Path) -> Any:
    # By alias, because the aliases are what the model's schema offers as arguments.
    try:
        return model.model_dump(mode="json", by_alias=True)
    except Exception as error:
        kind = type(model).__name__
        problem = f"{kind}.model_dump failed ({type(error).__name__}); {_CURE}"
        raise _invalid(path, problem) from error


def _object(
    pairs: Iterable[tuple[Any, Any]], path: Path, inside: frozenset[int]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in pairs:
        name = _key(key, path)
        if name in result:
            raise _invalid((*path, name), "two keys have this name; use string keys")
        result[name] = _plain(item, (*path, name), inside)
    return result


def _key(key: Any, path: Path) -> str:
    if isinstance(key, Enum):
        return _key(key.value, path)
    if isinstance(key, str):
        return str(_leaf(key, path))
    if key is None or isinstance(key, (int, float)):
        return _ENCODER.encode(_leaf(key, path))
    text = _text(key, path)
    if text is None:
        problem = f"a key of type {type(key).__name__} has no JSON form"
        raise _invalid(path, f"{problem}; use string keys")
    return text


def _text(value: Any, path: Path) -> str | None:
    try:
        return write_scalar(value)
    except ValueError:
        raise _not_finite(path) from None


def _array(items: Iterable[Any], path: Path, inside: frozenset[int]) -> list[Any]:
    return [_plain(item, (*path, index), inside) for index, item in enumerate(items)]


def _ordered(items: list[Any]) -> list[Any]:
    # A set of strings has another order in every process.
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=canonical)


def _not_finite(path: Path) -> ResultInvalid:
    return _invalid(
        path, "NaN and infinity have no JSON form; return a finite number or None"
    )


def _invalid(path: Path, problem: str) -> ResultInvalid:
    return ResultInvalid(path_text("result", path), problem)
