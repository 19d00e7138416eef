"""Which answer kills the connection is found out, and no other one is given up."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversimple.core.quarantine import (
    FIRST_PATIENCE,
    LONGEST_PATIENCE,
    LOSSES_TO_BELIEVE,
    Quarantine,
)
from tests.core.helpers import patient


@dataclass
class Item:
    """An answer."""

    name: str
    ref: int = 0
    suspect: bool = False
    losses: int = 0


def names(items: list[Item]) -> str:
    """The names of items, in order."""
    return "".join(item.name for item in items)


# Suspicion.


def test_all_that_was_in_flight_is_suspected() -> None:
    """A loss does not tell which of several it was, so none is given up."""
    items = [Item("a"), Item("b")]
    assert not Quarantine().lost(items)
    assert all(item.suspect for item in items)
    assert [item.losses for item in items] == [0, 0]


def test_three_losses_alone_are_believed() -> None:
    """Losses in company neither count nor reset what was counted."""
    quarantine, item = Quarantine(), Item("a")
    assert not quarantine.lost([item])
    assert not quarantine.lost([item, Item("b")])
    assert not quarantine.lost([item])
    assert quarantine.lost([item])
    assert item.losses == LOSSES_TO_BELIEVE == 3


# Patience.


def test_patience_doubles_up_to_its_limit() -> None:
    """Each loss that does not tell who it was makes the next wait longer."""
    quarantine = Quarantine()
    waits = [quarantine.patience]
    for _ in range(9):
        quarantine.lost([Item("a"), Item("b")])
        waits.append(quarantine.patience)
    assert waits[:4] == [0.0, FIRST_PATIENCE, 2 * FIRST_PATIENCE, 4 * FIRST_PATIENCE]
    assert waits[-1] == waits[-2] == LONGEST_PATIENCE
    assert waits == sorted(waits)


def test_a_loss_that_tells_who_it_was_needs_no_more_patience() -> None:
    """Whoever was alone was given long enough."""
    quarantine = Quarantine()
    quarantine.lost([Item("a")])
    assert quarantine.patience == 0.0


def test_patience_starts_anew() -> None:
    """When nothing is in flight any more, what comes is given no time at first."""
    quarantine = Quarantine()
    quarantine.lost([Item("a"), Item("b")])
    quarantine.calm()
    assert quarantine.patience == 0.0


# Groups.


def test_the_first_group_is_the_suspect_that_went_last() -> None:
    """Whatever was sent last before the loss is the likeliest."""
    queued = [Item("a", 5, suspect=True), Item("b", 7, suspect=True), Item("c", 9)]
    assert names(Quarantine().next_group(queued)) == "b"


def test_suspects_and_the_rest_go_by_turns() -> None:
    """One suspect alone, then all that is new in order, then the next suspect."""
    quarantine = Quarantine()
    queued = [Item("a", 1, suspect=True), Item("b", 2, suspect=True)]
    queued += [Item("c"), Item("d")]
    groups = []
    while queued:
        group = quarantine.next_group(queued)
        groups.append(names(group))
        queued = [item for item in queued if item not in group]
    assert groups == ["b", "cd", "a"]


def test_suspects_go_one_after_another_when_nothing_is_new() -> None:
    """Without anything new, it is always a suspect's turn."""
    quarantine = Quarantine()
    queued = [Item("a", 1, suspect=True), Item("b", 2, suspect=True)]
    assert names(quarantine.next_group(queued)) == "b"
    assert names(quarantine.next_group(queued[:1])) == "a"


def test_without_suspects_everything_new_goes() -> None:
    """Nobody waits for a suspect that there is not."""
    quarantine = Quarantine()
    assert names(quarantine.next_group([Item("a"), Item("b")])) == "ab"
    assert names(quarantine.next_group([Item("c")])) == "c"


def test_nothing_queued_is_an_empty_group() -> None:
    """There may be nothing to send."""
    assert Quarantine().next_group([]) == []


@pytest.mark.parametrize("fresh", [False, True])
def test_a_new_connection_begins_with_a_suspect(fresh: bool) -> None:
    """Whoever's turn it was, what is sent first is alone."""
    quarantine = Quarantine()
    queued = [Item("a", 1, suspect=True), *([Item("b")] if fresh else [])]
    quarantine.next_group(queued)
    quarantine.reconnected()
    assert names(quarantine.next_group(queued)) == "a"


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 99)), max_size=8),
    st.lists(st.integers(0, 2), max_size=8),
)
@patient
def test_everything_gets_its_turn(
    described: list[tuple[bool, int]], arrivals: list[int]
) -> None:
    """Suspects go alone; what is new waits for one of them at most, whatever comes."""
    queued = [Item(str(i), ref, suspect) for i, (suspect, ref) in enumerate(described)]
    quarantine = Quarantine()
    waited = 0
    while queued:
        fresh = [item for item in queued if not item.suspect]
        group = quarantine.next_group(queued)
        alone = len(group) == 1 and group[0].suspect
        assert alone or group == fresh
        waited = waited + 1 if fresh and alone else 0
        assert waited <= 1
        queued = [item for item in queued if item not in group]
        queued += [Item("new") for _ in range(arrivals.pop() if arrivals else 0)]
