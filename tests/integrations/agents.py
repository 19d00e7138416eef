"""Agents for the tests of what embeds them."""

from __future__ import annotations

from typing import Any

from conversimple import ConversimpleAgent, tool


class Clerk(ConversimpleAgent):
    """It does as it is told."""

    agent_id = "clerk"

    @tool("Double a number.")
    def double(self, number: int) -> int:
        return 2 * number


class Other(ConversimpleAgent):
    """Another one."""

    agent_id = "other"


class Demanding(ConversimpleAgent):
    """It cannot be made from settings alone."""

    def __init__(self, shop: str, **options: Any) -> None:
        super().__init__(**options)
        self.shop = shop
