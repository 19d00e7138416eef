"""What runs until a signal comes: its health meanwhile, and its end."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest

from conversimple import ConversimpleAgent
from conversimple.commands.failure import UsageMistake
from conversimple.commands.serving import health_served, left
from conversimple.dispatcher import ConversimpleDispatcher
from tests.conftest import finished, python

LEAVES = """
import threading
from conversimple.commands.serving import leave
threading.Thread(target=threading.Event().wait).start()
print("leaves")
leave(3)
"""


class Stubborn(ConversimpleAgent):
    """It has a stop() of its own."""

    def stop(self, timeout: float = 10.0) -> Any:
        raise AssertionError("it has stopped already")


def test_the_health_is_served_if_there_is_a_port() -> None:
    """On this machine only, unless somebody names an address."""
    agent = ConversimpleAgent("key")
    with health_served(agent, None, None):
        pass
    with pytest.raises(UsageMistake, match="needs a --health-port"):
        health_served(agent, "0.0.0.0", None)
    with health_served(agent, None, 0) as server:
        assert server.url.startswith("http://127.0.0.1:")
        with pytest.raises(HTTPError) as caught:
            build_opener(ProxyHandler({})).open(f"{server.url}/readyz", timeout=5)
    with caught.value as answer:
        assert json.load(answer)["state"] == "new"


def test_nothing_is_left_of_what_never_began() -> None:
    """Neither of an agent, nor of a dispatcher."""
    assert left(Stubborn("key")) == 0
    assert left(ConversimpleDispatcher("key", agents=[Stubborn])) == 0


def test_a_process_leaves_at_once() -> None:
    """What was printed is printed, and a thread that hangs keeps nothing up."""
    with python(LEAVES) as process:
        assert finished(process)[0] == "leaves\n"
    assert process.returncode == 3
