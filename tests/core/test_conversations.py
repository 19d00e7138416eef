"""The book of conversations: which live, which the platform has the tools of."""

from __future__ import annotations

from conversimple.core.conversations import (
    IDLE_LIMIT,
    MAX_CONVERSATIONS,
    Conversations,
)


def test_an_unscoped_agent_begins_without_conversations() -> None:
    """Without a scope every conversation concerns the agent, and none lives yet."""
    book = Conversations(None, 0.0)
    assert book.live() == []
    assert book.only_one() is None
    assert book.all_registered
    assert book.concerns_us("conv_1")


def test_a_scope_is_live_from_the_start() -> None:
    """With a scope that one conversation lives, and no other concerns the agent."""
    book = Conversations("conv_1", 0.0)
    assert [item.conversation_id for item in book.live()] == ["conv_1"]
    assert not book.live()[0].announced
    assert book.concerns_us("conv_1") and not book.concerns_us("conv_2")
    assert not book.all_registered


def test_only_one_is_the_one_that_is_alone() -> None:
    """A conversation is the only one as long as no other lives."""
    book = Conversations(None, 0.0)
    book.add("conv_1", 0.0)
    assert book.only_one() == "conv_1"
    book.add("conv_2", 0.0)
    assert book.only_one() is None
    book.end("conv_1")
    assert book.only_one() == "conv_2"


def test_an_ended_conversation_is_kept_for_its_last_calls() -> None:
    """A conversation that ended is not live, and known until it is forgotten."""
    book = Conversations(None, 0.0)
    book.add("conv_1", 0.0)
    ended = book.end("conv_1")
    assert ended is not None and ended.ended
    assert book.get("conv_1") is None
    assert book.is_ending("conv_1")
    assert book.all_registered
    book.forget("conv_1")
    assert not book.is_ending("conv_1")


def test_what_does_not_live_cannot_end() -> None:
    """Ending an unknown conversation, or one twice, does nothing."""
    book = Conversations(None, 0.0)
    assert book.end("conv_1") is None
    book.add("conv_1", 0.0)
    book.end("conv_1")
    assert book.end("conv_1") is None


def test_a_registration_counts_once_it_was_read() -> None:
    """Only a heartbeat behind a registration proves that the platform has read it."""
    book = Conversations(None, 0.0)
    first, second = book.add("conv_1", 0.0), book.add("conv_2", 0.0)
    book.sent(first, 2)
    book.sent(second, 4)
    book.read_up_to(2)
    assert not book.is_registered(first)
    book.read_up_to(4)
    assert book.is_registered(first) and not book.is_registered(second)
    book.read_up_to(5)
    assert book.all_registered


def test_what_was_never_sent_was_never_read() -> None:
    """A heartbeat says nothing about a registration that is still to be sent."""
    book = Conversations("conv_1", 0.0)
    book.read_up_to(5)
    assert not book.all_registered


def test_a_reply_registers_at_once() -> None:
    """The ok to a registration proves it; a refusal does not, and tells which."""
    book = Conversations(None, 0.0)
    first, second = book.add("conv_1", 0.0), book.add("conv_2", 0.0)
    book.sent(first, 2)
    book.sent(second, 3)
    assert book.replied(3, ok=True) is second
    assert book.replied(2, ok=False) is first
    assert book.is_registered(second) and not book.is_registered(first)
    assert book.replied(9, ok=True) is None


def test_a_loss_takes_the_registrations_with_it() -> None:
    """After a loss every live conversation has to be registered anew."""
    book = Conversations(None, 0.0)
    conversation = book.add("conv_1", 0.0)
    book.sent(conversation, 2)
    book.read_up_to(3)
    book.lost()
    assert not book.is_registered(conversation)
    assert conversation.registration is None


def test_an_hour_without_a_word_is_idle() -> None:
    """A conversation is idle when it was silent for an hour, not before."""
    book = Conversations(None, 0.0)
    book.add("conv_1", 0.0)
    book.add("conv_2", 1.0)
    assert book.idle(IDLE_LIMIT - 0.5) == []
    assert book.idle(IDLE_LIMIT) == ["conv_1"]


def test_a_scope_is_never_idle() -> None:
    """The conversation that an agent was started for ends only when it is told."""
    assert Conversations("conv_1", 0.0).idle(10 * IDLE_LIMIT) == []


def test_the_book_is_full_at_its_limit() -> None:
    """Those that end count as long as calls of theirs run."""
    book = Conversations(None, 0.0, limit=2)
    book.add("conv_1", 0.0)
    assert not book.full
    book.add("conv_2", 0.0)
    assert book.full
    book.end("conv_1")
    assert book.full
    book.forget("conv_1")
    assert not book.full


def test_refusals_in_a_row_are_told_once() -> None:
    """The next one is told when a conversation could begin in between."""
    book = Conversations(None, 0.0, limit=1)
    book.add("conv_1", 0.0)
    assert [book.refuse(), book.refuse(), book.refuse()] == [True, False, False]
    book.end("conv_1")
    book.forget("conv_1")
    assert not book.refuse()
    book.add("conv_2", 0.0)
    assert book.refuse()


def test_ten_thousand_conversations_are_not_too_many() -> None:
    """The limit is far above what one agent holds, and there is one."""
    book = Conversations(None, 0.0)
    for number in range(MAX_CONVERSATIONS):
        assert not book.full
        book.add(f"conv_{number}", 0.0)
    assert book.full and MAX_CONVERSATIONS == 10_000


def test_conversations_wait_until_there_is_room_for_their_tools() -> None:
    """In order; whatever ended meanwhile is left out."""
    book = Conversations(None, 0.0)
    first, second, third = (book.add(f"conv_{number}", 0.0) for number in (1, 2, 3))
    assert book.take_new(1) == [first]
    book.end("conv_2")
    assert book.take_new(0) == []
    assert book.take_new(9) == [third]
    assert second.ended
