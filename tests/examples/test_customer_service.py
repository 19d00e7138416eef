"""The customer service agent in conversations: in this process, and as a script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from conversimple import ToolCallFailed
from conversimple.local import Conversation, LocalPlatform
from tests.examples.stage import LIMIT, example, invalid, refusal, running, serving

customer_service: Any = example("customer_service")

ADDRESS = {
    "street": "2 Mill Lane",
    "postal_code": "7010",
    "town": "Trondheim",
    "country": "NO",
}


@pytest.fixture
def platform() -> Iterator[LocalPlatform]:
    """A platform with a new agent."""
    with serving(customer_service.CustomerServiceAgent) as platform:
        yield platform


@pytest.fixture
def caller(platform: LocalPlatform) -> Conversation:
    """Somebody on the line."""
    return platform.start_conversation()


def test_the_types_are_offered(caller: Conversation) -> None:
    """The language model is offered choices, formats, defaults and descriptions."""
    offered = {each["name"]: each["parameters"] for each in caller.tools}
    assert set(offered) == {
        "lookup_customer",
        "list_orders",
        "update_account",
        "create_ticket",
        "send_email",
        "process_refund",
    }
    assert offered["lookup_customer"]["required"] == ["customer_id"]
    assert offered["send_email"]["required"] == ["email", "subject", "body"]
    ticket = offered["create_ticket"]["properties"]
    assert ticket["priority"]["enum"] == ["low", "normal", "urgent"]
    assert ticket["priority"]["default"] == "normal"
    assert ticket["topic"]["enum"] == ["account", "billing", "delivery", "product"]
    assert ticket["call_back_on"]["format"] == "date"
    assert ticket["call_back_on"]["nullable"] is True
    assert "C-1001" in ticket["customer_id"]["description"]
    address = offered["update_account"]["properties"]["address"]
    assert address["required"] == list(ADDRESS)


def test_a_parcel_came_broken(caller: Conversation) -> None:
    """A caller is found, gets money back in two parts, a ticket and an email."""
    customer = caller.call("lookup_customer", customer_id="C-1001")
    assert customer["email"] == "c-1001@example.com"
    assert customer["customer_since"] == "2021-04-01"
    latest, earlier = caller.call("list_orders", customer_id="C-1001")
    assert (latest["order_id"], latest["total"]) == ("O-2001", "79.90")
    assert latest["ordered_on"] > earlier["ordered_on"]

    order: dict[str, Any] = {
        "customer_id": "C-1001",
        "order_id": "O-2001",
        "reason": "damaged",
    }
    assert caller.call("process_refund", **order, amount=20.5) == {
        "refund_id": "R-1",
        "order_id": "O-2001",
        "amount": "20.5",
        "reason": "damaged",
        "still_refundable": "59.40",
    }
    rest = caller.call("process_refund", **order, amount=None)
    assert (rest["amount"], rest["still_refundable"]) == ("59.40", "0.00")
    assert "already" in refusal(caller, "process_refund", **order)
    latest, _ = caller.call("list_orders", customer_id="C-1001")
    assert latest["refunded"] == "79.90"

    tomorrow = (date.today() + timedelta(days=1)).isoformat()
    assert caller.call(
        "create_ticket",
        customer_id="C-1001",
        topic="delivery",
        description="The parcel was wet.",
        priority="urgent",
        call_back_on=tomorrow,
    ) == {
        "ticket_id": "T-1",
        "customer_id": "C-1001",
        "conversation_id": caller.conversation_id,
        "topic": "delivery",
        "description": "The parcel was wet.",
        "priority": "urgent",
        "call_back_on": tomorrow,
    }
    sent = caller.call(
        "send_email", email=customer["email"], subject="Refund", body="It is coming."
    )
    assert sent == {"sent": True, "message_id": "M-1"}


def test_a_caller_has_moved(caller: Conversation) -> None:
    """What is given is changed, and the rest stays."""
    moved = caller.call("update_account", customer_id="C-1002", address=ADDRESS)
    assert (moved["address"], moved["email"]) == (ADDRESS, "c-1002@example.com")
    caller.call("update_account", customer_id="C-1002", email="new@example.com")
    customer = caller.call("lookup_customer", customer_id="C-1002")
    assert (customer["address"], customer["email"]) == (ADDRESS, "new@example.com")
    other = caller.call("lookup_customer", customer_id="C-1001")
    assert other["address"] != ADDRESS


def test_the_rules_of_refunds(caller: Conversation) -> None:
    """Each rule refuses in words that the model can pass on, and nothing is paid."""

    def refused(order_id: str, amount: Any, customer_id: str = "C-1001") -> str:
        return refusal(
            caller,
            "process_refund",
            customer_id=customer_id,
            order_id=order_id,
            reason="late",
            amount=amount,
        )

    assert "Only 79.90 can be refunded" in refused("O-2001", "79.91")
    assert "Only 79.90 can be refunded" in refused("O-2001", "1e300")
    assert "above zero" in refused("O-2001", 0)
    assert "above zero" in refused("O-2001", "-5")
    assert "two decimals" in refused("O-2001", "1.005")
    assert "30 days" in refused("O-2002", "1.00")
    assert "above 100.00 need a person" in refused("O-2003", None, "C-1002")
    assert "C-1001 has no order O-2003" in refused("O-2003", "1.00")
    assert "C-1001 has no order O-9" in refused("O-9", "1.00")
    orders = caller.call("list_orders", customer_id="C-1001")
    assert {order["refunded"] for order in orders} == {"0.00"}


def test_other_refusals(caller: Conversation) -> None:
    """Unknown customers, empty changes, past days and bad addresses are refused."""
    unknown = {"customer_id": "C-9"}
    assert "no customer C-9" in refusal(caller, "lookup_customer", **unknown)
    assert "no customer C-9" in refusal(caller, "list_orders", **unknown)
    ticket = {"topic": "billing", "description": "A question."}
    assert "no customer C-9" in refusal(caller, "create_ticket", **unknown, **ticket)

    known = {"customer_id": "C-1001"}
    assert "Nothing to change" in refusal(caller, "update_account", **known)
    bad = refusal(caller, "update_account", **known, email="c-1001")
    assert "c-1001 is not an email address" in bad
    late = refusal(
        caller, "create_ticket", **known, **ticket, call_back_on="2021-01-01"
    )
    assert "2021-01-01 is over" in late
    mail = {"email": "nobody", "subject": "Refund", "body": "It is coming."}
    assert "nobody is not an email address" in refusal(caller, "send_email", **mail)


def test_invalid_arguments(caller: Conversation) -> None:
    """All that is wrong with a call is said at once, and no tool runs."""
    said = invalid(
        caller,
        "create_ticket",
        customer_id=1001,
        topic="weather",
        priority="now",
        call_back_on="tomorrow",
    )
    for part in ("customer_id: ", "topic: ", "priority: ", "call_back_on: "):
        assert part in said
    assert "description: missing" in said
    assert '"urgent"' in said
    partial = {"street": "2 Mill Lane", "town": "Trondheim"}
    said = invalid(
        caller, "update_account", customer_id="C-1001", address={**partial, "zip": "1"}
    )
    assert "address.postal_code: missing" in said
    assert "address.zip: unknown" in said
    said = invalid(
        caller,
        "process_refund",
        customer_id="C-1001",
        order_id="O-2001",
        reason="late",
        amount="a lot",
    )
    assert 'amount: got "a lot" (string)' in said


def test_no_money_is_paid_twice(platform: LocalPlatform) -> None:
    """Of many refunds asked for at once, in two conversations, one is paid."""
    callers = [platform.start_conversation(), platform.start_conversation()]
    order: dict[str, Any] = {
        "customer_id": "C-1001",
        "order_id": "O-2001",
        "reason": "late",
    }
    calls = [
        caller.request("process_refund", order) for caller in callers for _ in range(8)
    ]
    refusals = 0
    for call in calls:
        try:
            assert call.result(LIMIT)["amount"] == "79.90"
        except ToolCallFailed as error:
            assert "already" in error.message
            refusals += 1
    assert refusals == len(calls) - 1


def test_the_script_serves_until_sigterm() -> None:
    """The script needs no key, serves sync and async tools, and ends in good order."""
    with LocalPlatform(api_keys=["local"]) as platform:
        with running("customer_service", platform) as process:
            caller = platform.start_conversation()
            customer = caller.call("lookup_customer", customer_id="C-1001")
            mail: dict[str, Any] = {
                "email": customer["email"],
                "subject": "Hello",
                "body": "Hello.",
            }
            assert caller.call("send_email", **mail)["sent"] is True
            assert "no customer" in refusal(caller, "list_orders", customer_id="C-9")
            process.stop()
    assert "WARNING:customer_service:tool_execution_error" in process.log
