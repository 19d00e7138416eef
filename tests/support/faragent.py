"""An agent whose tools run in other processes, and what they are to show there."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from conversimple import ConversimpleAgent, ToolCall, ToolError, current_call, tool

surroundings: ContextVar[str] = ContextVar("surroundings", default="nothing")


class Point(NamedTuple):
    """A value that travels."""

    x: int


class Clingy:
    """A value that can be pickled, and not unpickled."""

    def __reduce__(self) -> Any:
        return _refuse, ()

    def model_dump(self, **_: Any) -> str:
        """Its JSON form, asked for as of a pydantic model."""
        return "clingy"


class ClingyError(Exception):
    """An exception that can be pickled, and not unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def _refuse() -> None:
    raise RuntimeError("not here")


class FarAgent(ConversimpleAgent):
    """Its tools run elsewhere, but for one."""

    def __init__(self, url: str, folder: Path | None = None, **options: Any) -> None:
        super().__init__("key", "c1", url, **options)
        self.factor = 3
        self.folder = folder

    @tool("Multiply")
    def multiply(self, n: int) -> int:
        self.note(f"multiply {n}")
        return n * self.factor

    @tool("Which process?")
    def pid(self) -> int:
        return os.getpid()

    @tool("What is known of the call?")
    def call(self) -> list[Any]:
        call = current_call()
        left = call.timeout_seconds - 10 < call.remaining() <= call.timeout_seconds
        return [call.call_id, call.conversation_id, call.arguments, left]

    @tool("Wait for the end of the time")
    def wait(self) -> None:
        self.note(f"waiting {os.getpid()}")
        while not current_call().cancelled:
            time.sleep(0.01)
        self.note("noticed")

    @tool("Wait until it is let go")
    def hold(self) -> str:
        assert self.folder is not None
        self.note(f"holding {os.getpid()}")
        while not (self.folder / "go").exists() and not current_call().cancelled:
            time.sleep(0.01)
        return "let go"

    @tool("Die")
    def die(self) -> None:
        self.note("dying")
        os._exit(3)

    @tool("Be killed")
    def be_killed(self) -> None:
        self.note("dying")
        os.kill(os.getpid(), signal.SIGKILL)

    @tool("Die, but only the first time", idempotent=True)
    def die_once(self) -> str:
        assert self.folder is not None
        again = "dying" in notes(self.folder)
        if not again:
            self.die()
        return "alive"

    @tool("Fail")
    def fail(self) -> None:
        raise ValueError("secret")

    @tool("Refuse")
    def refuse(self) -> None:
        raise ToolError("not today")

    @tool("Exit")
    def leave(self) -> None:
        raise SystemExit(3)

    @tool("Fail with what cannot travel")
    def fail_clingily(self) -> None:
        raise ClingyError("one", "two")

    @tool("Return what cannot travel")
    def give_lock(self) -> Any:
        return threading.Lock()

    @tool("Return what cannot come back")
    def give_clingy(self) -> Any:
        return Clingy()

    @tool("Return what travels")
    def give_point(self) -> Point:
        return Point(1)

    @tool("Return what is there only later")
    def promise(self) -> Any:
        future: Future[int] = Future()
        threading.Timer(0.01, future.set_result, [7]).start()
        return future

    @tool("Charge", once_per="arguments")
    def charge(self, amount: int) -> int:
        self.note(f"charged {amount}")
        return amount

    @tool("Start again")
    def start_again(self) -> str:
        try:
            self.start()
        except Exception as error:
            return f"{type(error).__name__}: {self.connection_state}"
        return "started"

    def note(self, what: str) -> None:
        """Leave a mark that every process can see."""
        if self.folder is not None:
            with open(self.folder / "notes", "a") as notes:
                notes.write(f"{what}\n")


class Surrounded(FarAgent):
    """An agent with something around its tools, and with callbacks."""

    completed: Callable[..., None] = print

    @contextmanager
    def tool_context(self, call: ToolCall) -> Iterator[None]:
        token = surroundings.set(call.call_id)
        yield
        surroundings.reset(token)

    @tool("What is around?")
    def around(self) -> str:
        return surroundings.get()


def notes(folder: Path) -> list[str]:
    """What agents noted in a folder."""
    path = folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


class Synchronous(Executor):
    """An executor that runs everything at once, on the caller's thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def double(n: int) -> int:
    """Double a number."""
    return 2 * n
