"""The names of keys: nobody can take another's, and a customer's are together."""

from __future__ import annotations

import re

import pytest

from conversimple.core.keys import Key
from conversimple.runtime import redisscripts
from conversimple.runtime.redisscripts import base_of, blob, call_id, same_id, text
from tests.runtime.notes import entry, key

SCRIPTS = ("BEGIN", "LOOK", "SAVE", "RECOVER", "RENEW", "LEAVE")

ODD = ["c1", "}", "{}", "c1}:journal", "a:b", "\ud800", "\x00", "é", "%7D", ""]


def test_no_customer_closes_the_braces() -> None:
    """What is between the first pair decides on the node of a cluster."""
    bases = [base_of(customer) for customer in ODD]
    assert len(set(bases)) == len(ODD)
    for base in bases:
        assert re.fullmatch(r"conversimple:\{[^{}]*\}:journal", base)


def test_calls_are_told_apart() -> None:
    """However conversation and call are cut."""
    keys = [Key("a", "bc"), Key("ab", "c"), Key("", "abc"), Key("a:1:b", "c")]
    assert len({call_id(one) for one in keys}) == len(keys)
    assert call_id(key()) == call_id(key())


def test_repeats_have_arguments_tool_and_conversation_in_common() -> None:
    """An ordinary tool has none."""
    first = entry(1, once=b"o")
    assert same_id(first) == same_id(entry(2, once=b"o"))
    assert same_id(first) != same_id(entry(1, once=b"p"))
    assert same_id(first) != same_id(first._replace(tool_name="cancel"))
    assert same_id(first) != same_id(entry(key=key(1, "conv_2"), once=b"o"))
    assert same_id(entry()) == ""
    assert same_id(entry(once=b"")) != ""


@pytest.mark.parametrize("value", ODD)
def test_text_travels(value: str) -> None:
    """Whatever it is."""
    assert text(blob(value)) == value


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_name_their_keys_through_the_one_they_are_given(name: str) -> None:
    """Or a cluster could not tell on which node to run them."""
    script = getattr(redisscripts, name)
    assert "KEYS[1]" in script and "KEYS[2]" not in script
    assert "conversimple" not in script
