"""Scalars have one text form each, which is read back as it was written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversimple.core.schema import scalars
from conversimple.core.schema.scalars import UNREADABLE, write_duration, write_scalar

OSLO_WINTER = timezone(timedelta(hours=1))
# datetime itself reads an offset of less than a second as none at all.
OFFSETS = st.none() | st.integers(-86_399, 86_399).map(
    lambda seconds: timezone(timedelta(seconds=seconds))
)


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (scalars.read_null, None, None),
        (scalars.read_boolean, True, True),
        (scalars.read_integer, 7, 7),
        (scalars.read_integer, 1.0, 1),
        (scalars.read_number, 3, 3.0),
        (scalars.read_number, 2.5, 2.5),
        (scalars.read_text, "", ""),
        (scalars.read_date, "2026-01-31", date(2026, 1, 31)),
        (scalars.read_time, "14:30", time(14, 30)),
        (scalars.read_time, "14:30:15.5", time(14, 30, 15, 500_000)),
        (scalars.read_time, "14:30:15Z", time(14, 30, 15, tzinfo=timezone.utc)),
        (scalars.read_datetime, "2026-01-31T12:00", datetime(2026, 1, 31, 12)),
        (scalars.read_datetime, "2026-01-31 12:00:00", datetime(2026, 1, 31, 12)),
        (
            scalars.read_datetime,
            "2026-01-31t12:00:00.1234567z",
            datetime(2026, 1, 31, 12, 0, 0, 123_456, timezone.utc),
        ),
        (
            scalars.read_datetime,
            "2026-01-31T12:00:00+01:00",
            datetime(2026, 1, 31, 12, tzinfo=OSLO_WINTER),
        ),
        (scalars.read_duration, "PT1H30M", timedelta(minutes=90)),
        (scalars.read_duration, "PT1.5H", timedelta(minutes=90)),
        (scalars.read_duration, "-P1W2DT0,5S", -timedelta(days=9, seconds=0.5)),
        (scalars.read_duration, "+P1D", timedelta(days=1)),
        (scalars.read_decimal, "12.50", Decimal("12.50")),
        (scalars.read_decimal, 12.5, Decimal("12.5")),
        (scalars.read_decimal, 3, Decimal(3)),
        (scalars.read_uuid, "12345678" * 4, UUID("12345678" * 4)),
        (scalars.read_bytes, "AAE=", b"\x00\x01"),
    ],
)
def test_reads(read: Callable[[Any], Any], value: Any, expected: Any) -> None:
    """Each type is read from its JSON form."""
    result = read(value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (scalars.read_null, 0),
        (scalars.read_boolean, 1),
        (scalars.read_integer, True),
        (scalars.read_integer, 1.5),
        (scalars.read_integer, float("inf")),
        (scalars.read_integer, "1"),
        (scalars.read_number, False),
        (scalars.read_number, "1.5"),
        (scalars.read_number, float("nan")),
        (scalars.read_number, 10**400),
        (scalars.read_text, 5),
        (scalars.read_date, 20260131),
        (scalars.read_date, "tomorrow"),
        (scalars.read_date, "2026-02-30"),
        (scalars.read_date, "20260131"),
        (scalars.read_date, "2026-01-31T00:00:00"),
        (scalars.read_date, "٢٠٢٦-٠١-٣١"),
        (scalars.read_time, "25:00"),
        (scalars.read_time, "noon"),
        (scalars.read_datetime, "2026-01-31"),
        (scalars.read_datetime, "2026-01-31T12"),
        (scalars.read_duration, 90),
        (scalars.read_duration, "P"),
        (scalars.read_duration, "PT"),
        (scalars.read_duration, "P1DT"),
        (scalars.read_duration, "P1Y"),
        (scalars.read_duration, "1:30"),
        (scalars.read_duration, "P9999999999D"),
        (scalars.read_decimal, True),
        (scalars.read_decimal, "NaN"),
        (scalars.read_decimal, float("inf")),
        (scalars.read_decimal, "a lot"),
        (scalars.read_decimal, None),
        (scalars.read_uuid, "123"),
        (scalars.read_bytes, "not base64!"),
    ],
)
def test_refuses(read: Callable[[Any], Any], value: Any) -> None:
    """What is not the type's JSON form raises one of the exceptions that are told."""
    with pytest.raises(UNREADABLE):
        read(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(), "PT0S"),
        (timedelta(days=2), "P2D"),
        (timedelta(hours=1, minutes=30), "PT1H30M"),
        (timedelta(milliseconds=500), "PT0.5S"),
        (timedelta(days=-1, hours=12), "-PT12H"),
        (timedelta(days=1, seconds=10), "P1DT10S"),
    ],
)
def test_durations(value: timedelta, text: str) -> None:
    """A duration is written in its shortest ISO 8601 form."""
    assert write_duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (date(2026, 1, 31), "2026-01-31"),
        (time(14, 30), "14:30:00"),
        (datetime(2026, 1, 31, 12, tzinfo=timezone.utc), "2026-01-31T12:00:00+00:00"),
        (timedelta(seconds=5), "PT5S"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (b"\x00\x01", "AAE="),
        (bytearray(b"\x00"), "AA=="),
        (memoryview(b"\x00"), "AA=="),
        (5, None),
    ],
)
def test_writes(value: Any, text: str | None) -> None:
    """Each type has one text form, and other types have none."""
    assert write_scalar(value) == text


def test_an_infinite_decimal_cannot_be_written() -> None:
    """Decimal has values that JSON has not."""
    with pytest.raises(ValueError, match="finite"):
        write_scalar(Decimal("Infinity"))


@given(st.timedeltas())
def test_durations_come_back(value: timedelta) -> None:
    """Every timedelta survives the way there and back."""
    assert scalars.read_duration(write_duration(value)) == value


@given(st.datetimes(timezones=OFFSETS))
def test_datetimes_come_back(value: datetime) -> None:
    """Every datetime survives, with its offset."""
    result = scalars.read_datetime(value.isoformat())
    assert result == value
    assert result.utcoffset() == value.utcoffset()


@given(st.times(timezones=OFFSETS))
def test_times_come_back(value: time) -> None:
    """Every time of day survives, with its offset."""
    result = scalars.read_time(value.isoformat())
    assert result == value
    assert result.utcoffset() == value.utcoffset()


@given(st.text() | st.floats() | st.integers() | st.booleans() | st.none())
def test_nothing_else_escapes(value: Any) -> None:
    """Whatever comes, a reader returns or raises what is told."""
    for read in (scalars.read_datetime, scalars.read_duration, scalars.read_decimal):
        try:
            read(value)
        except UNREADABLE:
            pass
