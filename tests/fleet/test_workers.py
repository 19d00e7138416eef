"""Two workers in processes of their own, and what becomes of one's conversation."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from conversimple import ToolCallFailed
from conversimple.local import Conversation, LocalPlatform
from tests.fleet.judge import Verdict, judge
from tests.fleet.run import Worker
from tests.support.redis import RedisServer
from tests.support.threads import eventually

LEASE = 1.0
PATIENCE = 20.0

Start = Callable[..., Worker]


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """The file of effects."""
    path = tmp_path / "effects"
    path.touch()
    return path


@pytest.fixture
def start(platform: LocalPlatform, effects: Path) -> Iterator[Start]:
    """Starts workers, and waits until they listen."""
    with ExitStack() as stack:

        def start(*options: str) -> Worker:
            agents = platform.agents
            worker = Worker(platform.url, effects, *options)
            stack.callback(worker.destroy)
            platform.wait_until(lambda: platform.agents > agents, PATIENCE)
            return worker

        yield start


def in_files(folder: Path) -> tuple[str, ...]:
    """Claims and a journal in files."""
    return "--claims", f"file:{folder}/claims", "--journal", f"{folder}/journal"


def in_redis(server: RedisServer) -> tuple[str, ...]:
    """Claims and a journal on a server."""
    address = server.address
    return "--claims", address, "--journal", address, "--lease", str(LEASE)


def seen(platform: LocalPlatform, effects: Path, *names: str) -> Verdict:
    """What the platform has seen, if these calls were made."""
    asked = [("conv_1", name) for name in names]
    return judge(platform.history, asked, effects.read_text().splitlines())


def wait_for_effects(effects: Path, count: int) -> None:
    eventually(lambda: len(effects.read_text().splitlines()) >= count, PATIENCE)


def called(conversation: Conversation, number: int) -> dict[str, int]:
    result: dict[str, int] = conversation.call(
        "work", number=number, seconds=0.0, timeout=PATIENCE
    )
    return result


@pytest.mark.slow
def test_a_worker_that_is_killed(
    platform: LocalPlatform, start: Start, effects: Path, tmp_path: Path
) -> None:
    """The other one takes over, answers what is known, and does nothing twice."""
    platform.redelivery = True
    first = start(*in_files(tmp_path))
    conversation = platform.announce_ready("conv_1", "clerk")
    assert called(conversation, 1) == {"number": 1}
    running = conversation.request("work", {"number": 2, "seconds": 60.0})
    wait_for_effects(effects, 2)
    second = start(*in_files(tmp_path))
    first.signal(signal.SIGKILL)
    with pytest.raises(ToolCallFailed, match="outcome is unknown"):
        running.result(PATIENCE)
    assert called(conversation, 3) == {"number": 3}
    verdict = seen(platform, effects, "call_1", "call_2", "call_3")
    assert not verdict.problems
    assert verdict.held_by() == {second.pid: 1}


@pytest.mark.slow
def test_the_only_worker_is_killed_and_started_again(
    platform: LocalPlatform, start: Start, tmp_path: Path
) -> None:
    """It goes on with the conversations that it had."""
    first = start(*in_files(tmp_path))
    conversation = platform.announce_ready("conv_1", "clerk")
    conversation.wait_until_registered(PATIENCE)
    first.signal(signal.SIGKILL)
    platform.wait_until(lambda: platform.agents == 0)
    start(*in_files(tmp_path))
    assert called(conversation, 1) == {"number": 1}


@pytest.mark.slow
def test_a_worker_that_is_paused(
    platform: LocalPlatform, start: Start, effects: Path, redis_server: RedisServer
) -> None:
    """The other one takes over; when it goes on it lets go, and says nothing."""
    platform.redelivery = True
    first = start(*in_redis(redis_server))
    conversation = platform.announce_ready("conv_1", "clerk")
    assert called(conversation, 1) == {"number": 1}
    running = conversation.request("work", {"number": 2, "seconds": 0.3})
    wait_for_effects(effects, 2)
    first.signal(signal.SIGSTOP)
    second = start(*in_redis(redis_server))
    asked = conversation.request("work", {"number": 3, "seconds": 0.0})
    assert asked.result(PATIENCE) == {"number": 3}
    first.signal(signal.SIGCONT)
    # Whoever has begun it is the only one who knows how it ended.
    assert running.first_answer.result(PATIENCE)
    eventually(lambda: platform.agents == 3, PATIENCE)
    assert called(conversation, 4) == {"number": 4}
    verdict = seen(platform, effects, "call_1", "call_2", "call_3", "call_4")
    assert not verdict.problems
    assert verdict.held_by() == {second.pid: 1}
