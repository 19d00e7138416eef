"""The contenders are those that were promised, and each has a program."""

from __future__ import annotations

import pytest

from benchmarks.contenders import CHECKOUT, CONTENDERS, Contender, Wire


def test_the_contenders() -> None:
    """The first one is what all others are compared with."""
    assert list(CONTENDERS) == [
        "floor",
        "conversimple",
        "vendor",
        "slack",
        "elevenlabs",
        "websockets",
    ]


@pytest.mark.parametrize("contender", CONTENDERS.values(), ids=CONTENDERS)
def test_each_has_its_program(contender: Contender) -> None:
    """And something to be installed."""
    assert contender.path.is_file()
    assert contender.requirements


def test_only_this_sdk_comes_from_the_checkout() -> None:
    """The vendor's is the one that was published."""
    ours = [one.name for one in CONTENDERS.values() if CHECKOUT in one.requirements]
    assert ours == ["conversimple"]
    assert CONTENDERS["vendor"].requirements == ("conversimple-sdk==0.2.4",)


def test_only_who_speaks_phoenix_can_register() -> None:
    """Nobody else has a channel."""
    for contender in CONTENDERS.values():
        assert contender.wire is Wire.PHOENIX or not contender.registers
