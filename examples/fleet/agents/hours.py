"""An agent that knows one thing."""

from __future__ import annotations

from conversimple import ConversimpleAgent, tool


class HoursAgent(ConversimpleAgent):
    """Tells when the shop is open."""

    agent_id = "hours"

    @tool("When is the shop open on a day of the week?")
    def opening_hours(self, day: str) -> str:
        return "closed" if day.lower() == "sunday" else "9 to 18"
