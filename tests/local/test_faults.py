"""Refusals are used up one by one, in order."""

from __future__ import annotations

from conversimple.local.faults import Faults, HandshakeRefusal


def test_join_refusals_are_used_up() -> None:
    """Each counts for one join."""
    faults = Faults()
    faults.refuse_join("a", times=1)
    faults.refuse_join("b", times=2)
    assert [faults.next_join_refusal() for _ in range(4)] == ["a", "b", "b", None]


def test_handshake_refusals_are_used_up() -> None:
    """Each counts for one handshake."""
    faults = Faults()
    refusal = HandshakeRefusal(503, 1.5)
    faults.refuse_handshake(refusal, times=1)
    assert faults.next_handshake_refusal() == refusal
    assert faults.next_handshake_refusal() is None
