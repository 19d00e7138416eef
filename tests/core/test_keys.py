"""What tells calls apart."""

from __future__ import annotations

from conversimple.core.keys import Key, key_of
from tests.core.helpers import tool_call


def test_a_call_is_known_by_its_conversation_and_its_id() -> None:
    """Ids of calls repeat across conversations; tool and arguments do not matter."""
    assert key_of(tool_call("call_1", "conv_1")) == Key("conv_1", "call_1")
    assert key_of(tool_call("call_1", "conv_2")) != Key("conv_1", "call_1")
    other = tool_call("call_1", "conv_1", tool_name="send_email")
    assert key_of(other) == key_of(tool_call("call_1", "conv_1"))
