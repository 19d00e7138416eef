"""Scalar values, from JSON and to JSON: one text form for each type, both ways.

The ``read_…`` functions take what JSON gave and return the Python value. They trust
nothing, so that a union can try its members: what does not fit raises one of
``UNREADABLE``.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from uuid import UUID

UNREADABLE = (ValueError, TypeError, ArithmeticError, LookupError)

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = (
    r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?"
)
_TIME = re.compile(_CLOCK)
_DATETIME = re.compile(_DATE.pattern + "[T ]" + _CLOCK)
_FRACTION = re.compile(r"\.([0-9]+)")

_NUMBER = r"[0-9]+(?:[.,][0-9]+)?"
_DURATION = re.compile(
    rf"(?P<sign>[+-]?)P(?=[0-9T])(?:(?P<weeks>{_NUMBER})W)?(?:(?P<days>{_NUMBER})D)?"
    rf"(?:T(?=[0-9])(?:(?P<hours>{_NUMBER})H)?(?:(?P<minutes>{_NUMBER})M)?"
    rf"(?:(?P<seconds>{_NUMBER})S)?)?"
)
_MICROSECONDS = {
    "weeks": 604_800_000_000,
    "days": 86_400_000_000,
    "hours": 3_600_000_000,
    "minutes": 60_000_000,
    "seconds": 1_000_000,
}


def read_null(value: Any) -> None:
    """Return None for null."""
    if value is not None:
        raise TypeError("not null")


def read_boolean(value: Any) -> bool:
    """Return a JSON boolean."""
    if not isinstance(value, bool):
        raise TypeError("not a boolean")
    return value


def read_integer(value: Any) -> int:
    """Return a JSON integer; 1.0 is one, as in JSON Schema, and true is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not an integer")
    return value


def read_number(value: Any) -> float:
    """Return a finite JSON number as a float."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError("not a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def read_text(value: Any) -> str:
    """Return a JSON string."""
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def read_date(value: Any) -> date:
    """Read an ISO 8601 date."""
    return date.fromisoformat(_matched(_DATE, value))


def read_time(value: Any) -> time:
    """Read an ISO 8601 time of day, with or without an offset."""
    return time.fromisoformat(_clock(_matched(_TIME, value)))


def read_datetime(value: Any) -> datetime:
    """Read an ISO 8601 date and time, with or without an offset."""
    return datetime.fromisoformat(_clock(_matched(_DATETIME, value)))


def read_duration(value: Any) -> timedelta:
    """Read an ISO 8601 duration without years and months, such as ``PT1H30M``."""
    match = _DURATION.fullmatch(read_text(value).upper())
    if match is None:
        raise ValueError("not a duration")
    total = sum(
        Fraction((match[unit] or "0").replace(",", ".")) * microseconds
        for unit, microseconds in _MICROSECONDS.items()
    )
    return timedelta(microseconds=round(-total if match["sign"] == "-" else total))


def read_decimal(value: Any) -> Decimal:
    """Read a decimal number from a string, or from a JSON number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    number = Decimal(read_text(value))
    if not number.is_finite():
        raise ValueError("not a finite number")
    return number


def read_uuid(value: Any) -> UUID:
    """Read a UUID."""
    return UUID(read_text(value))


def read_bytes(value: Any) -> bytes:
    """Read base64."""
    return b64decode(read_text(value), validate=True)


def write_duration(value: timedelta) -> str:
    """Write an ISO 8601 duration.

    Args:
        value: any timedelta; a negative one gets a leading ``-``.
    """
    size = abs(value)
    minutes, seconds = divmod(size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{size.microseconds:06}".rstrip("0").rstrip(".")
    days = f"{size.days}D" if size.days else ""
    clock = (
        (f"{hours}H" if hours else "")
        + (f"{minutes}M" if minutes else "")
        + (f"{seconds}{fraction}S" if seconds or fraction else "")
    )
    if not days and not clock:
        return "PT0S"
    return ("-" if value < timedelta() else "") + f"P{days}" + (clock and f"T{clock}")


def write_scalar(value: Any) -> str | None:
    """Write a value of one of the types whose JSON form is text.

    Returns:
        The text, or None for a value of another type.

    Raises:
        ValueError: the Decimal is not a finite number.
    """
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    return None


def _write_decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("not a finite number")
    return str(value)


def _write_bytes(value: bytes) -> str:
    return b64encode(value).decode("ascii")


_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (datetime, datetime.isoformat),
    (date, date.isoformat),
    (time, time.isoformat),
    (timedelta, write_duration),
    (Decimal, _write_decimal),
    (UUID, str),
    (PurePath, str),
    ((bytes, bytearray, memoryview), _write_bytes),
)


def _matched(pattern: re.Pattern[str], value: Any) -> str:
    text = read_text(value).upper()
    if pattern.fullmatch(text) is None:
        raise ValueError("not in the expected form")
    return text


def _clock(text: str) -> str:
    # Python 3.10 reads neither "Z" nor a fraction of other than 3 or 6 digits.
    text = text.replace("Z", "+00:00")
    return _FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), text)
