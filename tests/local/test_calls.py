"""Records of calls: ids, answers and what an answer says."""

from __future__ import annotations

import pytest

from conversimple.errors import ToolCallFailed
from conversimple.local.calls import Answer, CallRecord, ConversationRecord


def test_call_ids_count_up_in_each_conversation() -> None:
    """An id that the caller chose is passed over."""
    record = ConversationRecord("conv_1", "c1")
    assert record.new_call_id() == "call_1"
    record.calls["call_2"] = CallRecord("conv_1", "call_2", {})
    assert record.new_call_id() == "call_3"


def test_an_answer_is_a_result_or_an_error() -> None:
    """An error is raised with its type and its message."""
    answer = Answer({"result": None}, 0.1)
    assert answer.unwrap() is None and answer.error_type is None
    failed = Answer({"error": {"type": "tool_timeout", "message": "late"}}, 0.1)
    assert failed.error_type == "tool_timeout"
    with pytest.raises(ToolCallFailed, match="late") as caught:
        failed.unwrap()
    assert caught.value.error_type == "tool_timeout"


def test_an_error_may_have_no_type() -> None:
    """It is an error all the same."""
    failed = Answer({"error": {"message": "late"}}, 0.1)
    assert failed.error_type == "unknown"
    with pytest.raises(ToolCallFailed, match="late"):
        failed.unwrap()


def test_the_time_of_an_answer_counts_from_the_first_sending() -> None:
    """Sending again does not start it anew."""
    call = CallRecord("conv_1", "call_1", {"tool_name": "f"}, held=True)
    call.sent()
    call.sent()
    call.answered({"tool_name": "f", "result": 1})
    assert call.times_sent == 2 and not call.held
    assert call.answers[0].seconds >= 0
