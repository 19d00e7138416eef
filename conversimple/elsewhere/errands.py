"""A tool that runs in another process: what travels there, and what comes back.

An errand is pickled by hand, so that its parcel can always be opened where it arrives,
and what comes back is plain: an exception or a value that cannot travel breaks a pool.
"""

from __future__ import annotations

import json
import pickle
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..core.events import Failure, Success
from ..core.messages import ToolCall, calling
from ..outcomes import NOTHING, Invoked, failure_of, returned
from ..runtime.daskonce import is_first
from .promises import is_promise, kept_within

NOT_ASKED = (
    "the tool did not run: Dask's scheduler could not be asked whether it ran before; "
    "conversimple-sdk has to be installed there, too"
)


class Returned(NamedTuple):
    """What comes back of an errand.

    Attributes:
        outcome: for the platform.
        log: what is to be said in the log of the process that sent it, or None.
        value: what the tool returned, pickled; None if nobody wants it, or if it
            cannot be pickled.
    """

    outcome: Success | Failure
    log: str | None = None
    value: bytes | None = None


class Stub(NamedTuple):
    """A call without what stays at home: its clock, and whether it is cancelled."""

    call_id: str
    tool_name: str
    arguments: Mapping[str, Any]
    conversation_id: str
    timeout_seconds: float

    @classmethod
    def of(cls, call: ToolCall) -> Stub:
        """The stub of a call."""
        return cls(*(getattr(call, name) for name in cls._fields))

    def call(self, remaining: float) -> ToolCall:
        """The call, by the clock of this process."""
        now = time.monotonic()
        return ToolCall(
            **self._asdict(), deadline=now + remaining, clock=time.monotonic
        )


@dataclass(frozen=True)
class Errand:
    """One execution of a tool, in another process.

    Attributes:
        stub: the call.
        until: its deadline, in seconds since the epoch: a monotonic clock means
            nothing on another machine.
        owner: the agent, or None if nothing of it is needed.
        attribute: the tool, if it is a method of the agent.
        function: the tool, if it is not.
        arguments: checked and converted.
        is_surrounded: whether the agent's ``tool_context`` is entered.
        full_detail: whether the platform is told the text of unexpected exceptions.
        wants_value: whether the value itself is to come back, too.
        token: what is claimed before it runs, because whoever takes it there may
            bring it twice; None if that does no harm.
    """

    stub: Stub
    until: float
    owner: Any
    attribute: str | None
    function: Callable[..., Any] | None
    arguments: Mapping[str, Any]
    is_surrounded: bool
    full_detail: bool
    wants_value: bool
    token: str | None

    def run(self) -> Returned:
        """Run the tool; never raises."""
        call = self.stub.call(self.until - time.time())
        if not call.remaining():
            return Returned(not_in_time(call))
        notes: list[str] = []
        try:
            if not self._is_first():
                return Returned(worker_lost(call))
        except Exception as error:
            failure = Failure("tool_execution_error", NOT_ASKED)
            return Returned(failure, told(error))
        with calling(call):
            try:
                invoked = self._invoke(call)
            except BaseException as error:
                note = partial(_note, notes)
                outcome = failure_of(call, error, self.full_detail, note)
                return Returned(outcome, "".join(notes) or None)
        value = _pickled(invoked.value) if self.wants_value else None
        return Returned(invoked.outcome, value=value)

    def _is_first(self) -> bool:
        return self.token is None or is_first(self.token)

    def _invoke(self, call: ToolCall) -> Invoked:
        function = self.function or getattr(self.owner, self.attribute or "")
        value: Any = NOTHING
        with self._around(call):
            value = function(**self.arguments)
            if is_promise(value):
                # This thread has nothing else to do.
                value = kept_within(value, call.remaining())
        invoked = returned(value)
        assert isinstance(invoked, Invoked)
        return invoked

    def _around(self, call: ToolCall) -> AbstractContextManager[Any]:
        if not self.is_surrounded:
            return nullcontext()
        context: AbstractContextManager[Any] = self.owner.tool_context(call)
        return context


class Parcel:
    """An errand as it travels. Called where it has arrived."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __call__(self) -> Returned:
        """Run the errand; never raises."""
        try:
            errand: Errand = pickle.loads(self._content)
        except BaseException as error:
            text = "the tool did not run: it cannot be unpickled where it was sent"
            return Returned(Failure("tool_execution_error", text), told(error))
        return errand.run()


def not_in_time(call: ToolCall) -> Failure:
    """The call's deadline passed before its tool began."""
    return Failure("tool_timeout", f"{call.tool_name} was not started in time")


def worker_lost(call: ToolCall) -> Failure:
    """Whoever ran the tool is gone."""
    text = f"{call.tool_name} lost the process that ran it; its outcome is unknown"
    return Failure("tool_execution_error", text, unknown=True)


def invoked_of(back: Returned) -> Invoked:
    """What has come of an errand, with the value as far as it could travel."""
    if isinstance(back.outcome, Failure):
        return Invoked(back.outcome)
    return Invoked(back.outcome, _value_of(back, back.outcome))


def told(error: BaseException) -> str:
    """The traceback of an exception, which itself may be unable to travel."""
    return "".join(traceback.format_exception(error))


def _note(notes: list[str], error: BaseException) -> None:
    notes.append(told(error))


def _pickled(value: Any) -> bytes | None:
    try:
        return pickle.dumps(value)
    except Exception:
        return None


def _value_of(back: Returned, outcome: Success) -> Any:
    if back.value is not None:
        try:
            return pickle.loads(back.value)
        except Exception:
            pass  # it can be made only there
    return json.loads(outcome.result)
