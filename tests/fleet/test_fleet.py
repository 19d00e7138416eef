"""Workers that share conversations, while one is killed and another one is paused."""

from __future__ import annotations

import pytest

from tests.fleet.__main__ import main
from tests.fleet.run import Plan, run
from tests.support.redis import RedisServer


@pytest.mark.slow
def test_a_small_fleet(redis_server: RedisServer) -> None:
    """Each call is answered, none is done twice, each conversation has one owner."""
    plan = Plan(conversations=40, calls=4, lease=1.2, seconds=6.0, broadcasts=True)
    outcome = run(plan, redis_server.address)
    assert not outcome.problems, str(outcome)


@pytest.mark.long
def test_a_fleet() -> None:
    """The same with 400 conversations."""
    assert main(["--conversations", "400"]) == 0
