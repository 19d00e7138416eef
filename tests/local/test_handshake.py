"""Who is let in."""

from __future__ import annotations

import pytest

from conversimple.local.handshake import Handshake

QUERY = {"auth_token": "key", "customer_id": "c1", "vsn": "2.0.0"}


def asked(**query: str) -> Handshake:
    """A good handshake with changes; an empty value removes the parameter."""
    wanted = {name: value for name, value in {**QUERY, **query}.items() if value}
    return Handshake(100, wanted)


@pytest.mark.parametrize("vsn", ["2.0.0", "1.0.0", ""])
def test_both_versions_and_none_are_let_in(vsn: str) -> None:
    """No version means version 1."""
    assert asked(vsn=vsn).refusal(None) is None


@pytest.mark.parametrize("vsn", ["2", "2.0", "3.0.0", "v2.0.0", " "])
def test_other_versions_are_refused(vsn: str) -> None:
    """Only a full version number will do."""
    assert asked(vsn=vsn).refusal(None) == 403
    assert Handshake(100, {**QUERY, "vsn": ""}).refusal(None) == 403


def test_a_key_is_needed() -> None:
    """Any key, or one of the given ones."""
    assert asked(auth_token="").refusal(None) == 403
    assert asked().refusal({"key", "other"}) is None
    assert asked().refusal({"other"}) == 403


def test_a_customer_is_needed() -> None:
    """Nobody can be guessed."""
    assert asked(customer_id="").refusal(None) == 403


def test_a_long_request_is_refused_first() -> None:
    """Whatever is in it."""
    assert Handshake(8_001, {}).refusal(None) == 414
    assert Handshake(8_000, QUERY).refusal(None) is None


def test_an_origin_and_a_subprotocol_are_reported() -> None:
    """A stock server may refuse the one and does not echo the other."""
    assert len(Handshake(100, QUERY, "http://x", ["phoenix"]).problems()) == 2
    assert asked().problems() == []
