"""What a dispatch wants to have done."""

from __future__ import annotations

from conversimple.core.messages import ConversationEnded
from conversimple.core.orders import Release, Take, Tell


def test_orders_are_values() -> None:
    """Equal when they say the same; and what was heard twice is not told twice."""
    assert Release("conv_1", True) == Release("conv_1", over=True)
    assert Take("conv_1", "clerk") != Take("conv_2", "clerk")
    assert not Tell("conv_1", 1, ConversationEnded("conv_1")).unless_connected
