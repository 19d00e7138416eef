"""The writing side of a transport."""

from __future__ import annotations

from typing import cast

from conversimple.runtime.link import Link
from conversimple.runtime.transport import Transport


class Slow:
    """A transport whose peer took the last byte at second 7."""

    progress = 7.0


def test_a_new_link_has_nobody_writing() -> None:
    """Nothing is blocked, broken or begun."""
    link = Link(cast(Transport, Slow()))
    assert (link.flushing, link.blocked, link.broken, link.texts) == (
        False,
        False,
        None,
        [],
    )


def test_a_peer_that_takes_nothing_is_given_so_long() -> None:
    """Counted from the last byte that it took."""
    assert Link(cast(Transport, Slow())).stalled_at(10.0) == 17.0
