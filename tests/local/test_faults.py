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


def test_what_is_armed_strikes_once() -> None:
    """At the first occasion."""
    faults = Faults()
    faults.armed.add("cut_inside_frame")
    assert not faults.strikes("duplicate_next_call")
    assert [faults.strikes("cut_inside_frame") for _ in range(2)] == [True, False]


def test_healing_leaves_the_settings() -> None:
    """Only faults are ended."""
    faults = Faults(replies=False, redelivery=True, broadcasts=False)
    faults.refuse_join("a", times=2)
    faults.refuse_handshake(HandshakeRefusal(403), times=2)
    faults.armed.add("duplicate_next_call")
    faults.heal()
    assert faults == Faults(redelivery=True, broadcasts=False)
