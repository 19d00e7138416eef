"""The desk knows conversations and calls, and nothing of connections."""

from __future__ import annotations

from conversimple.core import messages as msg
from conversimple.core.answers import Options
from conversimple.core.calls import Limits
from conversimple.core.conversations import MAX_CONVERSATIONS
from conversimple.core.desk import CROWDED, LEFT, STOPPING, Desk
from conversimple.core.events import EventQueue, Notify, Success, Toolset
from conversimple.core.journaling import Answer, Entry, Recovered
from conversimple.core.keys import Key
from conversimple.core.ledger import Ledger
from tests.core.helpers import REGISTRATION, TIMESTAMP, TOOLS, in_conversation


class Alone:
    """A desk without a session."""

    def __init__(
        self, ledger: Ledger | None = None, *, hands_over: bool = False
    ) -> None:
        self.ledger = ledger or Ledger()
        self.events = EventQueue()
        self.desk = Desk(
            self.ledger,
            Toolset(TOOLS, REGISTRATION),
            Options(
                scope=None,
                limits=Limits(),
                tool_timeout=30.0,
                max_message_bytes=1_000_000,
                clock=lambda: 0.0,
                timestamp=lambda: TIMESTAMP,
                hands_over=hands_over,
            ),
            self.events,
            0.0,
        )

    def ask(self, call_id: str, conversation_id: str) -> None:
        """Have the platform ask for the weather."""
        arguments = {"location": "Oslo"}
        self.desk.hear(
            msg.ToolCallRequest(
                call_id, "get_weather", arguments, conversation_id, None
            ),
            0.0,
        )

    def answers(self) -> list[str]:
        """The answers that wait to be sent."""
        return [record.body for record in self.ledger.to_send(0.0)]

    def errors(self) -> list[str]:
        """What ``on_error`` is told."""
        return [
            event.arguments[0]
            for event in self.events.take()
            if isinstance(event, Notify) and event.callback == "on_error"
        ]


def test_a_call_comes_in_and_its_answer_goes_out() -> None:
    """Without a connection, which may be lost in the meantime."""
    alone = Alone()
    alone.ask("call_1", "conv_1")
    alone.desk.opened("conv_1")
    [call] = alone.desk.calls.take_startable()
    assert alone.desk.answered(call, Success("22"), 1.0, over=True)
    [body] = alone.answers()
    assert '"result":22' in body
    assert not alone.desk.calls.active


def test_a_closed_desk_takes_nothing_on() -> None:
    """But it answers."""
    alone = Alone()
    alone.desk.closed = True
    alone.desk.hear(msg.ConversationStarted("conv_1"), 0.0)
    alone.ask("call_1", "conv_1")
    assert alone.desk.conversations.live() == []
    [body] = alone.answers()
    assert STOPPING in body


def test_there_is_an_end_to_conversations() -> None:
    """The platform may start as many as it likes; the rest is refused, told once."""
    alone = Alone()
    for number in range(MAX_CONVERSATIONS + 3):
        alone.desk.hear(msg.ConversationStarted(f"conv_{number}"), 0.0)
    assert len(alone.desk.conversations.live()) == MAX_CONVERSATIONS
    assert alone.errors() == ["too_many_conversations"]
    alone.ask("call_1", "conv_new")
    [body] = alone.answers()
    assert CROWDED in body
    alone.desk.hear(msg.ConversationEnded("conv_0"), 0.0)
    alone.desk.hear(msg.ConversationStarted("conv_new"), 0.0)
    assert alone.desk.conversations.get("conv_new") is not None


def test_the_tools_come_before_what_was_recovered() -> None:
    """The platform expects the registration of a conversation before its answers."""
    driver = in_conversation("conv_1")
    key = Key("conv_2", "call_1")
    answer = Answer(key, "tool_call_response", '{"call_id":"call_1"}')
    row = Recovered(Entry(key, b"digest", "get_weather"), answer)
    driver.session.recovered([row, row], driver.now)
    driver.pass_time(0.0)
    sent = [frame.event for frame in driver.sent()]
    assert sent[0] == "register_conversation_tools"
    assert sent.count("tool_call_response") == 1


def test_what_the_ledger_has_no_room_for_is_answered_at_once_or_never() -> None:
    """It is not kept, and so not sent later either."""
    alone = Alone(Ledger(budget=-1))
    alone.ask("call_1", "conv_1")
    [body] = alone.desk.take_unrecorded()
    assert "busy" in body
    assert alone.desk.take_unrecorded() == []
    assert alone.answers() == []


def test_who_hands_over_leaves_what_is_new_to_others() -> None:
    """No answer, so that the platform asks again; and it tells what has begun."""
    alone = Alone(hands_over=True)
    alone.ask("call_1", "conv_1")
    alone.desk.closed = True
    alone.desk.give_up_unstarted()
    alone.ask("call_2", "conv_2")
    alone.ask("call_2", "conv_2")
    alone.ask("call_3", "")
    alone.desk.hear(msg.ConversationStarted("conv_3"), 0.0)
    alone.desk.hear(msg.ConversationEnded("conv_1"), 0.0)
    alone.ask("call_4", "")
    assert alone.answers() == []
    assert not alone.ledger.unanswered
    left = [event for event in alone.events.take() if isinstance(event, Notify)]
    assert [event.arguments for event in left if event.callback == LEFT] == [
        ("conv_2",),
        ("conv_2",),
        ("conv_1",),
        ("conv_3",),
    ]
