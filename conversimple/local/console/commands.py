"""What a console can ask for. On the server's loop, where nothing may wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import PlatformStateError
from ..history import History
from ..life import check_pause
from .view import entry_view

if TYPE_CHECKING:
    from ..conversation import Call
    from ..platform import LocalPlatform

Fields = dict[str, Any]

#: Seconds that a console waits for the answer to a call; it may still come later.
PATIENCE = 310.0

REPLY_FIRST = 0.1

FAULTS = frozenset(
    "cut cut_during_next_call cut_inside_frame stall resume trickle never_confirm "
    "redeliver duplicate_next_call refuse refuse_join crash_channel close_channel "
    "heal".split()
)


class CommandRefused(Exception):
    """A command that cannot be carried out; the text is for the user."""


class Commands:
    """Carries out commands on one platform."""

    def __init__(self, platform: LocalPlatform, history: History) -> None:
        self._platform = platform
        self._history = history
        self._known: dict[str, Callable[[Fields], Awaitable[Any]]] = {
            "start_conversation": self._start_conversation,
            "end_conversation": self._end_conversation,
            "call": self._call,
            "fault": self._fault,
            "entry": self._entry,
        }

    async def carry_out(self, name: object, fields: Fields) -> Any:
        """Do what is asked for, and give the value of the reply.

        Raises:
            CommandRefused: there is no such command, or it needs other fields.
            PlatformStateError, ValueError, TypeError: as what it calls.
        """
        command = self._known.get(name) if isinstance(name, str) else None
        if command is None:
            raise CommandRefused(f"no such command: {name!r}")
        return await command(fields)

    async def _start_conversation(self, fields: Fields) -> Fields:
        named = fields.get("customer_id") is not None
        customer_id = _text(fields, "customer_id") if named else None
        conversation = self._platform.conversation(customer_id=customer_id)
        conversation.start()
        return {"conversation_id": conversation.conversation_id}

    async def _end_conversation(self, fields: Fields) -> None:
        self._platform.conversation(_text(fields, "conversation_id")).end()

    async def _call(self, fields: Fields) -> Fields:
        conversation = self._platform.conversation(_text(fields, "conversation_id"))
        arguments = fields.get("arguments")
        if not isinstance(arguments, dict):
            raise CommandRefused("arguments must be an object")
        call = conversation.request(_text(fields, "tool_name"), arguments)
        return await _answer(call)

    async def _fault(self, fields: Fields) -> Fields:
        name, options = _text(fields, "name"), fields.get("options") or {}
        if not isinstance(options, dict):
            raise CommandRefused("options must be an object")
        if name == "restart":
            self._restart(**options)
            return {"affected": None}
        if name not in FAULTS:
            raise CommandRefused(f"no such fault: {name}")
        return {"affected": getattr(self._platform.faults, name)(**options)}

    def _restart(self, seconds: float = 0.5) -> None:
        # Refused here: where it is done, nobody hears of it.
        check_pause(seconds)

        def restart() -> None:
            with suppress(PlatformStateError):  # it was stopped meanwhile
                self._platform.faults.restart(seconds)

        # It ends the thread that this runs on: the reply has to go out before.
        thread = threading.Thread(target=restart, name="conversimple-restart")
        asyncio.get_running_loop().call_later(REPLY_FIRST, thread.start)

    async def _entry(self, fields: Fields) -> Fields:
        number = fields.get("n")
        if type(number) is not int or number < 1:
            raise CommandRefused("n must be the number of an entry")
        found = self._history.after(number - 1, 1)
        if not found or found[0][0] != number:
            raise CommandRefused(f"entry {number} is not kept any more")
        return entry_view(*found[0], whole=True)


async def _answer(call: Call) -> Fields:
    answered = asyncio.wrap_future(call.first_answer)
    try:
        answer = await asyncio.wait_for(asyncio.shield(answered), PATIENCE)
    except asyncio.TimeoutError:
        raise CommandRefused(f"{call.call_id} has no answer yet") from None
    outcome = {"call_id": call.call_id, "seconds": answer.seconds}
    if answer.error_type is None:
        return {**outcome, "result": answer.payload["result"]}
    message = answer.payload["error"]["message"]
    return {**outcome, "error": {"type": answer.error_type, "message": message}}


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise CommandRefused(f"{name} must be a text")
    return value
