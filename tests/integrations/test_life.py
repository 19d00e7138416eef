"""One process runs the agents, the others stand by."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conversimple import ClaimsError, ConnectionState, ConversimpleAgent
from conversimple.integrations import life as module
from conversimple.integrations.life import Life
from conversimple.integrations.plan import Plan
from conversimple.local import LocalPlatform
from conversimple.runtime.claims import Alone
from conversimple.runtime.fileclaims import FileClaims
from tests.conftest import WAIT, Seen
from tests.integrations.agents import Clerk, Other
from tests.support.threads import eventually


class Fallible(Alone):
    """Claims of which something fails, or is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.hidden = False
        self.asked = 0
        self.lost: list[str] = []

    def take(self, name: str, kind: str) -> bool:
        if self.broken:
            raise ClaimsError("place", "it is broken")
        return super().take(name, kind)

    def note(self, name: str, kind: str) -> None:
        if self.broken:
            raise ClaimsError("place", "it is broken")
        super().note(name, kind)

    def free(self) -> dict[str, str]:
        self.asked += 1
        if self.hidden:
            raise ClaimsError("place", "it is broken")
        return super().free()

    def renew(self) -> list[str]:
        lost, self.lost = self.lost, []
        for name in lost:
            self.release(name, over=False)
        return lost


@pytest.fixture
def lives(
    tmp_path: Path, platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Makes lives of an agent, which end with the test."""
    monkeypatch.setattr(module, "BEAT", 0.02)
    monkeypatch.setattr(module, "RETRY", 0.02)
    made: list[Life] = []

    def make(*agents: type[ConversimpleAgent], **kwargs: Any) -> Life:
        options = {"api_key": "key", "customer_id": "c1", "platform_url": platform.url}
        workers = kwargs.pop("workers", "one")
        plan = Plan(
            agents or (Clerk,), {**options, **kwargs}, workers, f"file:{tmp_path}"
        )
        made.append(Life(plan))
        return made[-1]

    yield make
    for life in made:
        life.pulse.stop(0.0)


@pytest.fixture
def fallible(monkeypatch: pytest.MonkeyPatch) -> Fallible:
    """Claims that replace those of all plans."""
    claims = Fallible()
    monkeypatch.setattr(Plan, "open_claims", lambda self: claims)
    return claims


def test_one_of_them_runs_the_agent(platform: LocalPlatform, lives: Any) -> None:
    """The other one knows that it does not, and has no agent."""
    first, second = lives(), lives()
    first.pulse.start()
    eventually(lambda: first.ready)
    second.pulse.start()
    eventually(lambda: second.ready)
    assert (first.leading, first.standing_by) == (True, False)
    assert (second.leading, second.standing_by) == (False, True)
    assert first.health() is not None and second.health() is None
    assert platform.agents == 1


def test_the_other_one_takes_over(platform: LocalPlatform, lives: Any) -> None:
    """With the conversations, and what they wait for; never are there two."""
    platform.redelivery = True
    first, second = lives(), lives()
    first.pulse.start()
    conversation = platform.start_conversation()
    second.pulse.start()
    eventually(lambda: second.standing_by)
    first.pulse.stop(WAIT)
    call = conversation.request("double", {"number": 2})
    assert call.result(WAIT) == 4
    eventually(lambda: second.ready)
    assert second.leading and not first.leading and not first.ready
    assert platform.agents == 1


def test_everybody_runs_the_agent(
    tmp_path: Path, platform: LocalPlatform, lives: Any
) -> None:
    """With a shared journal each call runs in one of them, also while one stops."""
    everywhere = {"workers": "all", "journal": tmp_path / "calls.db"}
    both = lives(**everywhere), lives(**everywhere)
    for life in both:
        life.pulse.start()
    platform.wait_until(lambda: platform.agents == 2)
    conversation = platform.start_conversation()
    calls = [conversation.request("double", {"number": n}) for n in range(40)]
    both[0].pulse.stop(WAIT)
    calls += [conversation.request("double", {"number": n}) for n in range(40, 60)]
    assert [call.result(WAIT) for call in calls] == [2 * n for n in range(60)]
    assert both[1].leading and not both[0].leading


def test_who_comes_later_knows_the_conversations_of_all(
    tmp_path: Path, platform: LocalPlatform, lives: Any
) -> None:
    """Also where everybody runs the agent, and all the others have ended."""
    everywhere = {"workers": "all", "journal": tmp_path / "calls.db"}
    first, second = lives(**everywhere), lives(**everywhere)
    first.pulse.start()
    conversation = platform.start_conversation()
    first.pulse.stop(WAIT)
    second.pulse.start()
    eventually(lambda: second.ready)
    assert list(second.health().conversations) == [conversation.conversation_id]
    assert conversation.call("double", number=2) == 4


def test_what_is_over_is_not_handed_over(platform: LocalPlatform, lives: Any) -> None:
    """A conversation that has ended is forgotten."""
    first, second = lives(), lives()
    first.pulse.start()
    ended, lasting = platform.start_conversation(), platform.start_conversation()
    ended.end()
    eventually(lambda: len(first.health().conversations) == 1)
    first.pulse.stop(WAIT)
    second.pulse.start()
    lasting.wait_until_registered(WAIT)
    assert list(second.health().conversations) == [lasting.conversation_id]


def test_a_claim_that_is_lost(
    platform: LocalPlatform, lives: Any, fallible: Fallible
) -> None:
    """Nothing is sent any more, and the agent leaves; it may come again."""
    life = lives()
    life.pulse.start()
    eventually(lambda: life.ready)
    fallible.lost = ["leader"]
    eventually(lambda: platform.handshakes == 2)
    eventually(lambda: life.ready)
    assert platform.agents == 1


def test_who_has_lost_the_claim_is_silent(
    platform: LocalPlatform, lives: Any, fallible: Fallible
) -> None:
    """Immediately, and not only when it notices."""
    life = lives()
    life.pulse.start()
    conversation = platform.start_conversation()
    fallible.broken = True  # or it would take it back at once
    fallible.release("leader", over=False)
    call = conversation.request("double", {"number": 2})
    with pytest.raises(TimeoutError):
        call.result(0.2)
    fallible.broken = False


def test_what_waits_is_sent_when_the_claim_is_sure_again(
    platform: LocalPlatform, lives: Any, fallible: Fallible
) -> None:
    """At the next look, and not only at the next heartbeat."""
    life = lives()
    life.pulse.start()
    conversation = platform.start_conversation()
    held = fallible._held.copy()
    fallible._held.clear()
    call = conversation.request("double", {"number": 2})
    with pytest.raises(TimeoutError):
        call.result(0.2)
    fallible._held.update(held)
    assert call.result(WAIT) == 4


def test_claims_that_cannot_be_used(
    lives: Any, fallible: Fallible, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and tried again."""
    fallible.broken = True
    life = lives()
    life.pulse.start()
    eventually(lambda: "it is broken" in caplog.text)
    assert not life.ready
    fallible.broken = False
    eventually(lambda: life.ready)
    [error] = [record for record in caplog.records if record.levelname == "ERROR"]
    # It says what to do, and no traceback hides that.
    assert not error.exc_info


def test_after_an_outage_the_leader_comes_first(
    lives: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claim may have ended because nobody could renew it."""
    first, second = lives(), lives()
    first.pulse.start()
    eventually(lambda: first.ready)
    second.pulse.start()
    eventually(lambda: second.standing_by)
    with monkeypatch.context() as outage:

        def fail(*_: object) -> bool:
            raise ClaimsError("place", "it is broken")

        outage.setattr(FileClaims, "take", fail)
        outage.setattr(FileClaims, "free", fail)
        eventually(lambda: not second.standing_by)
        first._claims.release(module.LEADER, False)
    eventually(lambda: second.standing_by)
    assert not second.leading
    second._patient_until = 0.0
    eventually(lambda: second.leading)


def test_claims_that_fail_on_the_way(
    platform: LocalPlatform, lives: Any, fallible: Fallible
) -> None:
    """Nothing is started by then."""
    fallible.hidden = True
    life = lives()
    life.pulse.start()
    eventually(lambda: fallible.asked > 1)
    assert platform.handshakes == 0 and not life.leading
    fallible.hidden = False
    eventually(lambda: life.ready)
    assert platform.handshakes == 1


def test_a_note_that_fails(
    platform: LocalPlatform,
    lives: Any,
    fallible: Fallible,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The conversation is served all the same."""
    life = lives()
    life.pulse.start()
    eventually(lambda: life.ready)
    fallible.broken = True
    assert platform.start_conversation().call("double", number=1) == 2
    assert "will not know all" in caplog.text


def test_conversations_are_dispatched(
    tmp_path: Path, platform: LocalPlatform, lives: Any
) -> None:
    """Each to an agent of its own; who takes over goes on with all of them."""
    platform.redelivery = True
    first, second = lives(Clerk, Other), lives(Clerk, Other)
    first.pulse.start()
    eventually(lambda: first.ready)
    second.pulse.start()
    eventually(lambda: second.standing_by)
    conversation = platform.announce_ready("conv_1", "clerk", "c1")
    assert conversation.request("double", {"number": 2}).result(WAIT) == 4
    platform.wait_until(lambda: platform.agents == 2)
    first.pulse.stop(WAIT)
    assert conversation.request("double", {"number": 3}).result(WAIT) == 6
    assert second.ready and second.leading
    assert list(second.health().conversations) == ["conv_1"]


def test_an_agent_that_cannot_be_made(
    lives: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The claim is given back, for others that have more luck."""
    failing = threading.Event()
    failing.set()

    class Unlucky(Clerk):
        def __init__(self, **options: Any) -> None:
            if failing.is_set():
                raise ValueError("no luck")
            super().__init__(**options)

    first, second = lives(Unlucky), lives(Unlucky)
    first.pulse.start()
    eventually(lambda: "no luck" in caplog.text)
    assert not first.ready and not first.leading
    failing.clear()
    second.pulse.start()
    eventually(lambda: first.leading or second.leading)
    eventually(lambda: first.ready and second.ready)
    assert first.leading != second.leading


def test_an_agent_that_gave_up(
    platform: LocalPlatform, lives: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not ready, and tries again after a while."""
    platform.refuse_join("unauthorized")
    life = lives()
    life.pulse.start()
    eventually(lambda: life.leading)
    eventually(lambda: life.health().state is ConnectionState.FAILED)
    assert not life.ready
    monkeypatch.setattr(module, "FAILED_AGAIN", 0.0)
    eventually(lambda: life.ready)


def test_an_agent_that_does_not_stop(
    lives: Any,
    seen: Seen,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is waited for as long as it was granted."""

    class Stubborn(Clerk):
        def stop(self, timeout: float = 0.0) -> Any:
            super().stop(timeout)
            from concurrent.futures import Future

            return Future()

    monkeypatch.setattr(module, "GRACE", 0.0)
    life = lives(Stubborn)
    life.pulse.start()
    eventually(lambda: life.ready)
    life.pulse.stop(0.01)
    assert "did not stop" in caplog.text
    assert not life.leading
