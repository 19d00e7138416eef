"""The shop's agent: one conversation fills one basket."""

from __future__ import annotations

import os
from typing import Any

import redis

from conversimple import ConversimpleAgent, ToolError, current_call, tool

PRICES = {"bread": 3.5, "cheese": 6.0, "olives": 4.0}

#: For all conversations of this process; it connects when it is first used.
BASKETS: Any = redis.Redis.from_url(os.environ["SHOP_REDIS_URL"], decode_responses=True)


class ShopAgent(ConversimpleAgent):
    """Takes orders.

    What has to outlive a worker is not kept in the agent: another worker may have the
    conversation in a moment. It is kept where all workers find it.
    """

    agent_id = "shop"

    @tool("Put something into the caller's basket")
    def add(self, product: str, quantity: int = 1) -> dict[str, Any]:
        """Add to the basket.

        Args:
            product: bread, cheese or olives.
            quantity: how many of it.
        """
        if product not in PRICES:
            raise ToolError(f"there is no {product} today")
        BASKETS.hincrby(basket(), product, quantity)
        return self.show()

    @tool("What is in the caller's basket, and what it costs")
    def show(self) -> dict[str, Any]:
        items = {name: int(count) for name, count in BASKETS.hgetall(basket()).items()}
        total = sum(PRICES[name] * count for name, count in items.items())
        return {"items": items, "total": total}

    def on_conversation_started(self, conversation_id: str) -> None:
        print(f"worker {os.getpid()} serves {conversation_id}")


def basket() -> str:
    """Where the caller's basket is."""
    return f"shop:basket:{current_call().conversation_id}"
