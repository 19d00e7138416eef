"""The agent of the fleet: every effect that it has is one line in a file."""

from __future__ import annotations

import os
import time

from conversimple import ConversimpleAgent, current_call, tool

EFFECTS = os.open(os.environ["FLEET_EFFECTS"], os.O_WRONLY | os.O_APPEND)


class Clerk(ConversimpleAgent):
    """Its tools say in which process they are, to the platform and in the file."""

    agent_id = "clerk"

    @tool(f"Have an effect, in process {os.getpid()}")
    def work(self, number: int, seconds: float) -> dict[str, int]:
        call = current_call()
        line = f"{call.conversation_id} {call.call_id} {number} {os.getpid()}\n"
        # One write, at the end of the file, whoever else writes to it.
        os.write(EFFECTS, line.encode())
        time.sleep(seconds)
        return {"number": number}
