"""A Phoenix channel says what frames mean, and what to write, without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conversimple.core.channel import (
    HEARTBEAT_DEADLINE,
    LEAVE_DEADLINE,
    NEVER,
    TRANSITIONS,
    Channel,
    ChannelState,
    Ignored,
    Joined,
    Left,
    Lost,
    Pushed,
    ReadUpTo,
    Refused,
    Replied,
)
from conversimple.core.frames import Frame, decode
from tests.core.helpers import TOPIC

OK = {"status": "ok", "response": {}}
UNMATCHED = {"status": "error", "response": {"reason": "unmatched topic"}}


def reply(ref: str | None, payload: Any = OK, join_ref: str | None = "1") -> Frame:
    """A reply on the customer's topic."""
    return Frame(join_ref, ref, TOPIC, "phx_reply", payload)


def beat(ref: str | None, event: str = "phx_reply") -> Frame:
    """A reply to a heartbeat."""
    return Frame(None, ref, "phoenix", event, OK)


def refs(channel: Channel) -> list[str | None]:
    """The refs of the frames that are ready to be written."""
    return [decode(text).ref for text in channel.take()]


@pytest.fixture
def joining() -> Channel:
    """A channel at time 0 whose join is written and not answered."""
    channel = Channel(TOPIC, 2, 30.0, 10.0)
    channel.open(0.0)
    assert channel.take() == ['["1","1","customer:c1","phx_join",{}]']
    return channel


@pytest.fixture
def joined(joining: Channel) -> Channel:
    """A channel that was joined at time 0."""
    assert joining.receive(reply("1"), 0.0) == Joined()
    return joining


@pytest.fixture
def leaving(joined: Channel) -> Channel:
    """A channel that wrote an answer with ref 2 and its leave with ref 3."""
    joined.push("tool_call_response", "{}")
    joined.leave(0.0)
    joined.take()
    return joined


# The join.


def test_other_frames_may_come_before_the_reply_to_the_join(joining: Channel) -> None:
    """The reply to a join is known by its ref; until then nothing else is a reply."""
    early = Frame(None, None, TOPIC, "config_update", {})
    assert joining.receive(early, 0.0) == Pushed("config_update", {})
    assert isinstance(joining.receive(reply("7"), 0.0), Ignored)
    assert isinstance(joining.receive(reply(None), 0.0), Ignored)
    assert joining.receive(reply("1"), 0.0) == Joined()
    assert joining.state is ChannelState.JOINED


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"reason": "unauthorized"}, "unauthorized"),
        ({"reason": 7}, "no reason given"),
        ({}, "no reason given"),
        (None, "no reason given"),
        ("unauthorized", "no reason given"),
    ],
)
def test_a_join_is_refused_with_a_reason(
    joining: Channel, response: Any, reason: str
) -> None:
    """The platform's reason is handed on if it gave one."""
    refusal = reply("1", {"status": "error", "response": response})
    assert joining.receive(refusal, 0.0) == Refused(reason)


def test_a_second_reply_to_the_join_means_nothing(joined: Channel) -> None:
    """A join that is answered twice was joined once."""
    assert joined.receive(reply("1"), 1.0) == Replied(1, True, {})
    assert joined.state is ChannelState.JOINED


def test_a_join_has_a_deadline_of_its_own(joining: Channel) -> None:
    """A slow join is no dead peer: nothing is judged before its own deadline."""
    assert joining.next_deadline() == 10.0
    assert joining.time_passed(9.9, heard=-100.0) is None
    assert joining.take() == []
    lost = joining.time_passed(10.0, heard=10.0)
    assert lost == Lost("no answer in time while joining")


def test_a_joined_channel_forgets_the_deadline_of_its_join(joined: Channel) -> None:
    """After the join only heartbeats are due."""
    assert joined.next_deadline() == 30.0
    assert joined.time_passed(11.0, heard=0.0) is None


def test_one_socket_one_join(joined: Channel) -> None:
    """A joined channel cannot be joined again on its socket."""
    with pytest.raises(AssertionError):
        joined.open(1.0)


def test_frames_are_taken_a_megabyte_at_a_time(joined: Channel) -> None:
    """Or one frame, however large it is; the rest waits in its order."""
    joined.take()
    for size in (600_000, 600_000, 5_000_000, 1):
        joined.push("event", json.dumps("x" * size))
    taken = [[len(decode(text).payload) for text in joined.take()] for _ in range(4)]
    assert taken == [[600_000, 600_000], [5_000_000], [1], []]


def test_only_a_joined_channel_takes_pushes(joining: Channel) -> None:
    """Nothing can be pushed before the join is accepted, or after a leave."""
    with pytest.raises(AssertionError):
        joining.push("tool_call_response", "{}")


def test_a_closed_channel_can_only_be_joined() -> None:
    """Every state can end in closed, from which only a new join leads."""
    assert TRANSITIONS[ChannelState.CLOSED] == {ChannelState.JOINING}
    for state in set(ChannelState) - {ChannelState.CLOSED}:
        assert ChannelState.CLOSED in TRANSITIONS[state]


# Refs and topics.


def test_refs_grow_and_are_never_used_again(joined: Channel) -> None:
    """Every frame takes the next ref, on the next socket too."""
    joined.push("tool_call_response", "{}")
    joined.heartbeat(0.0)
    joined.push("tool_call_error", "{}")
    assert refs(joined) == ["2", "3", "4"]
    joined.close()
    joined.open(1.0)
    assert joined.take() == ['["5","5","customer:c1","phx_join",{}]']


def test_channel_frames_carry_the_current_join(joined: Channel) -> None:
    """After a reconnect the new join is on every frame but the heartbeat."""
    joined.close()
    joined.open(1.0)
    joined.receive(reply("2", join_ref="2"), 1.0)
    joined.push("tool_call_response", '{"a":1}')
    joined.heartbeat(1.0)
    joined.leave(1.0)
    assert joined.take() == [
        '["2","2","customer:c1","phx_join",{}]',
        '["2","3","customer:c1","tool_call_response",{"a":1}]',
        '[null,"4","phoenix","heartbeat",{}]',
        '["2","5","customer:c1","phx_leave",{}]',
    ]


def test_version_1_has_the_join_on_every_channel_frame() -> None:
    """In version 1 every frame of the channel carries the join, heartbeats none."""
    channel = Channel(TOPIC, 1, 30.0, 10.0)
    channel.open(0.0)
    channel.receive(reply("1"), 0.0)
    channel.push("tool_call_response", "{}")
    channel.heartbeat(0.0)
    frames = [json.loads(text) for text in channel.take()]
    assert [frame.get("join_ref") for frame in frames] == ["1", "1", None]
    assert "join_ref" not in frames[2]


def test_what_was_not_written_goes_with_the_socket(joined: Channel) -> None:
    """A closed channel has nothing to write and no deadline, however often closed."""
    joined.push("tool_call_response", "{}")
    joined.heartbeat(0.0)
    joined.close()
    joined.close()
    assert joined.take() == []
    assert joined.next_deadline() == NEVER
    assert joined.time_passed(1000.0, heard=0.0) is None


@pytest.mark.parametrize(
    "frame",
    [
        Frame(None, None, "customer:c2", "config_update", {}),
        Frame("7", None, TOPIC, "tool_call_request", {}),
        Frame("7", "7", TOPIC, "phx_error", {}),
        Frame("01", "1", TOPIC, "phx_close", {}),
        Frame(None, None, "", "", None),
    ],
)
def test_frames_of_others_mean_nothing(joined: Channel, frame: Frame) -> None:
    """A frame of another topic, or of a join that is not the current one, is passed
    over."""
    assert isinstance(joined.receive(frame, 0.0), Ignored)
    assert joined.state is ChannelState.JOINED


def test_a_broadcast_has_no_join(joined: Channel) -> None:
    """Pushes of the current join and broadcasts without one are both ours."""
    for join_ref in ("1", None):
        frame = Frame(join_ref, None, TOPIC, "config_update", [1])
        assert joined.receive(frame, 0.0) == Pushed("config_update", [1])


def test_a_frame_of_the_join_before_is_stale(joined: Channel) -> None:
    """After a reconnect the frames of the old join mean nothing."""
    joined.close()
    joined.open(1.0)
    assert isinstance(joined.receive(reply("2", join_ref="1"), 1.0), Ignored)
    assert joined.receive(reply("2", join_ref="2"), 1.0) == Joined()


# Replies.


def test_a_reply_tells_which_push_and_how_it_went(joined: Channel) -> None:
    """The reply to a push names its ref, its status and what was said."""
    ref = joined.push("tool_call_response", "{}")
    refused = {"status": "error", "response": {"reason": "unknown call"}}
    assert joined.receive(reply("2"), 0.0) == Replied(ref, True, {})
    assert joined.receive(reply("2", refused), 0.0) == Replied(
        ref, False, {"reason": "unknown call"}
    )


@pytest.mark.parametrize("ref", [None, "", "02", "x", "-2", "２", "9" * 19, " 2"])
def test_a_ref_that_we_never_wrote_is_nobodys(joined: Channel, ref: str | None) -> None:
    """Another spelling of a number is not our ref."""
    joined.push("tool_call_response", "{}")
    assert joined.receive(reply(ref), 0.0) == Replied(-1, True, {})


@pytest.mark.parametrize("payload", [None, [], "ok", 7])
def test_a_reply_without_an_object_means_nothing(joined: Channel, payload: Any) -> None:
    """A reply has to be an object."""
    assert isinstance(joined.receive(reply("2", payload), 0.0), Ignored)


def test_a_channel_that_the_platform_does_not_know_is_lost(joined: Channel) -> None:
    """An unmatched topic while joined, with or without a join, means it is gone."""
    joined.push("tool_call_response", "{}")
    for join_ref in ("1", None):
        lost = joined.receive(reply("2", UNMATCHED, join_ref), 0.0)
        assert isinstance(lost, Lost) and not lost.crashed


@pytest.mark.parametrize("ref", ["999", "x", None])
def test_an_unmatched_topic_for_a_ref_never_sent_means_nothing(
    joined: Channel, ref: str | None
) -> None:
    """A reply to something that was never sent does not drop the connection."""
    assert not isinstance(joined.receive(reply(ref, UNMATCHED, None), 0.0), Lost)


@pytest.mark.parametrize("state", ["joining", "joined", "leaving"])
def test_a_crash_is_a_loss_at_any_time(
    state: str, request: pytest.FixtureRequest
) -> None:
    """A crashed channel is lost, and it is told that it crashed."""
    channel = request.getfixturevalue(state)
    crash = Frame("1", "1", TOPIC, "phx_error", {})
    assert channel.receive(crash, 0.0) == Lost("the channel crashed", crashed=True)


@pytest.mark.parametrize("state", ["joining", "joined"])
def test_a_close_that_nobody_asked_for_is_a_loss(
    state: str, request: pytest.FixtureRequest
) -> None:
    """The platform may close the channel; then it is gone."""
    channel = request.getfixturevalue(state)
    close = Frame("1", "1", TOPIC, "phx_close", {})
    assert channel.receive(close, 0.0) == Lost("the platform closed the channel")


# Leaving.


def test_the_ok_to_a_leave_passed_through_the_channel(leaving: Channel) -> None:
    """The ok to a leave proves that the channel handled everything before."""
    assert leaving.receive(reply("3"), 0.5) == Left(handled=True)


@pytest.mark.parametrize(
    "frame", [reply("3", UNMATCHED), Frame("1", "1", TOPIC, "phx_close", {})]
)
def test_another_end_of_a_leave_proves_nothing(leaving: Channel, frame: Frame) -> None:
    """A channel that was gone, or closed without the ok, is left all the same."""
    assert leaving.receive(frame, 0.5) == Left(handled=False)


def test_answers_are_confirmed_while_leaving(leaving: Channel) -> None:
    """A reply to an answer may come between the leave and its ok."""
    assert leaving.receive(reply("2"), 0.5) == Replied(2, True, {})


def test_an_answer_that_missed_the_channel_is_a_loss(leaving: Channel) -> None:
    """An unmatched topic for an answer means that it has to be sent again."""
    assert isinstance(leaving.receive(reply("2", UNMATCHED, None), 0.5), Lost)


def test_a_leave_does_not_wait_long(leaving: Channel) -> None:
    """No heartbeat goes out after the leave, whose answer has a deadline of its own."""
    assert leaving.next_deadline() == LEAVE_DEADLINE
    assert leaving.time_passed(LEAVE_DEADLINE - 0.1, heard=0.0) is None
    assert leaving.time_passed(LEAVE_DEADLINE, heard=0.0) is not None
    assert leaving.take() == []


# Heartbeats.


def test_a_heartbeat_at_every_interval(joined: Channel) -> None:
    """Heartbeats go out at each interval and no sooner."""
    assert joined.time_passed(29.9, heard=0.0) is None
    assert refs(joined) == []
    assert joined.time_passed(30.0, heard=0.0) is None
    assert joined.take() == ['[null,"2","phoenix","heartbeat",{}]']
    assert joined.heartbeat_pending
    joined.receive(beat("2"), 30.1)
    assert not joined.heartbeat_pending
    assert joined.next_deadline() == 60.0


def test_an_early_heartbeat_puts_off_the_next(joined: Channel) -> None:
    """The interval counts from the last heartbeat, for whatever reason it was sent."""
    joined.heartbeat(20.0)
    joined.receive(beat("2"), 20.1)
    assert joined.next_deadline() == 50.0


def test_the_reply_to_a_heartbeat_proves_what_was_before(joined: Channel) -> None:
    """Everything with an earlier ref was read, nothing with a later one."""
    joined.push("tool_call_response", "{}")
    joined.heartbeat(0.0)
    joined.push("tool_call_response", "{}")
    assert joined.receive(beat("3"), 4.0) == ReadUpTo(3)
    assert joined.heartbeat_answered_at == 4.0


def test_a_later_reply_answers_the_earlier_heartbeats_too(joined: Channel) -> None:
    """The socket is read in order, so the second reply stands for the first."""
    joined.heartbeat(0.0)
    joined.heartbeat(1.0)
    assert joined.receive(beat("3"), 2.0) == ReadUpTo(3)
    assert not joined.heartbeat_pending
    assert isinstance(joined.receive(beat("2"), 3.0), Ignored)


def test_an_earlier_reply_leaves_the_later_heartbeat_waiting(joined: Channel) -> None:
    """While one heartbeat waits, its deadline stands."""
    joined.heartbeat(0.0)
    joined.heartbeat(1.0)
    assert joined.receive(beat("2"), 2.0) == ReadUpTo(2)
    assert joined.heartbeat_pending
    assert joined.next_deadline() == 1.0 + HEARTBEAT_DEADLINE


@pytest.mark.parametrize(
    "frame",
    [beat("2"), beat("1"), beat(None), beat("x"), beat("3", event="phx_close")],
)
def test_a_heartbeat_that_was_not_sent_has_no_reply(
    joined: Channel, frame: Frame
) -> None:
    """Only the reply to a heartbeat that waits proves anything."""
    joined.push("tool_call_response", "{}")
    joined.heartbeat(0.0)
    assert isinstance(joined.receive(frame, 1.0), Ignored)
    assert joined.heartbeat_answered_at is None


def test_a_heartbeat_of_the_last_socket_is_forgotten(joined: Channel) -> None:
    """After a reconnect the heartbeats of the old socket cannot be answered."""
    joined.heartbeat(0.0)
    joined.close()
    joined.open(1.0)
    assert not joined.heartbeat_pending
    assert isinstance(joined.receive(beat("2"), 2.0), Ignored)


def test_ten_seconds_of_silence_after_a_heartbeat(joined: Channel) -> None:
    """A peer of which not a byte came after a heartbeat is dead, ten seconds later."""
    joined.time_passed(30.0, heard=30.0)
    assert joined.next_deadline() == 40.0
    assert joined.time_passed(39.9, heard=30.0) is None
    assert joined.time_passed(40.0, heard=30.0) == Lost(
        "not a byte came after the heartbeat"
    )


def test_any_byte_is_a_sign_of_life(joined: Channel) -> None:
    """A peer that sent anything after the heartbeat is not dead."""
    joined.time_passed(30.0, heard=0.0)
    assert joined.time_passed(40.0, heard=30.1) is None
    assert joined.next_deadline() == 60.0


def test_a_peer_that_drips_is_lost_in_the_end(joined: Channel) -> None:
    """Bytes without a reply are life for a while, not for ever."""
    for now in (30.0, 60.0, 90.0):
        assert joined.time_passed(now, heard=now) is None
        assert joined.time_passed(now + 10.0, heard=now + 1.0) is None
    assert joined.time_passed(120.0, heard=119.0) == Lost(
        "the heartbeat was not answered"
    )


@pytest.mark.parametrize("interval", [1.0, 4.0, 9.0])
def test_a_short_interval_does_not_hasten_the_verdict(interval: float) -> None:
    """However often heartbeats go out, a peer has ten seconds to say something."""
    channel = Channel(TOPIC, 2, interval, 10.0)
    channel.open(0.0)
    channel.receive(reply("1"), 0.0)
    channel.time_passed(interval, heard=0.0)
    while (now := channel.next_deadline()) < interval + HEARTBEAT_DEADLINE:
        assert channel.time_passed(now, heard=0.0) is None


@pytest.mark.parametrize("interval", [1.0, 4.0, 9.0])
def test_a_short_interval_does_not_put_off_the_verdict(interval: float) -> None:
    """A later heartbeat gives a silent peer no more than its ten seconds."""
    channel = Channel(TOPIC, 2, interval, 10.0)
    channel.open(0.0)
    channel.receive(reply("1"), 0.0)
    end = interval + HEARTBEAT_DEADLINE
    lost = None
    while lost is None and channel.next_deadline() <= end:
        lost = channel.time_passed(channel.next_deadline(), heard=0.0)
    assert lost is not None
