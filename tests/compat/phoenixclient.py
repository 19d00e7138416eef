"""The official JavaScript client of Phoenix as a process that is told what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conversimple.local import LocalPlatform
from tests.compat.lineprocess import LineProcess
from tests.local.rawagent import WEATHER

FOLDER = Path(__file__).resolve().parent / "phoenix_js"
TOPIC = "customer:c1"

#: Seconds that it may take to bring two packages.
INSTALLING = 100.0


class CannotInstall(Exception):
    """The client is not there, and cannot be brought; the text says why."""


def install() -> None:
    """Bring what the lock file names, unless it is there.

    Raises:
        CannotInstall: Node.js is missing, or the registry cannot be reached.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        raise CannotInstall("node and npm are not here: install Node.js 18 or later")
    if _packages("node_modules/.package-lock.json") == _packages("package-lock.json"):
        return
    try:
        subprocess.run(
            ["npm", "ci"],
            cwd=FOLDER,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
            timeout=INSTALLING,
        )
    except subprocess.CalledProcessError as error:
        # The rest of what it says is a trace of its own.
        reason = " ".join(error.stderr.splitlines()[:2])
        raise CannotInstall(f"npm ci failed in {FOLDER}: {reason}") from error
    except subprocess.TimeoutExpired as error:
        raise CannotInstall(f"npm ci took over {INSTALLING:g} s") from error


def _packages(name: str) -> dict[str, str]:
    path = FOLDER / name
    if not path.is_file():
        return {}
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    return {name: told["version"] for name, told in packages.items() if name}


class PhoenixClient(LineProcess):
    """One process with one socket; an order is a line to it, an event one from it."""

    def __init__(
        self, platform: LocalPlatform, vsn: str = "2.0.0", *, heartbeat: float = 30.0
    ) -> None:
        super().__init__(["node", "client.mjs"], folder=FOLDER)
        self._order(
            "connect",
            # The client itself adds "/websocket", as it does everywhere.
            url=platform.url.removesuffix("/websocket"),
            params={"auth_token": "key", "customer_id": "c1"},
            vsn=vsn,
            heartbeat=heartbeat * 1000,
        )

    def join(self, topic: str = TOPIC) -> None:
        """Ask for a channel; what comes of it is told by events."""
        self._order("join", topic=topic)

    def joined(self) -> None:
        """Read on until the customer's channel is joined."""
        self.expect("replied", to="join", topic=TOPIC, status="ok")

    def push(self, event: str, payload: Any, timeout: float = 10.0) -> None:
        """Push on the customer's channel."""
        self._order(
            "push", topic=TOPIC, event=event, payload=payload, timeout=timeout * 1000
        )

    def send(self, **frame: Any) -> None:
        """Send a frame that no channel of the client has to do with."""
        self._order("send", frame=frame)

    def register(self, conversation_id: str) -> None:
        """Register the weather tool, and read the reply."""
        event = "register_conversation_tools"
        self.push(event, {"conversation_id": conversation_id, "tools": [WEATHER]})
        self.expect("replied", to=event, status="ok")

    def answer(self, result: Any) -> dict[str, Any]:
        """Answer the next request, read the reply, and give the request."""
        request = self.expect("received", event="tool_call_request")["payload"]
        assert isinstance(request, dict)
        named = {key: request[key] for key in request if key != "arguments"}
        self.push("tool_call_response", {**named, "result": result})
        self.expect("replied", to="tool_call_response", status="ok")
        return request

    def frames(self, event: str) -> list[dict[str, Any]]:
        """The frames of this event that came so far, as the client has decoded them."""
        came = [told for told in self.told if told["happened"] == "frame"]
        return [frame for frame in came if frame["event"] == event]

    def leave(self) -> None:
        """Leave the customer's channel."""
        self._order("leave", topic=TOPIC)

    def disconnect(self) -> None:
        """Close the socket for good."""
        self._order("disconnect")

    def _order(self, order: str, **details: Any) -> None:
        self.say(json.dumps({"order": order, **details}))


@contextmanager
def joined(platform: LocalPlatform, vsn: str = "2.0.0") -> Iterator[PhoenixClient]:
    """A client that has joined the customer's channel."""
    with PhoenixClient(platform, vsn) as client:
        client.join()
        client.joined()
        yield client
