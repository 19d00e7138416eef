"""A customer service agent: accounts, orders, tickets, email and refunds.

Start the platform in one terminal, and the agent in another::

    conversimple platform
    python examples/customer_service.py

The types of the tools' parameters are what the language model is offered, and what
comes in is checked against them. The rules of the house are in `Shop`: what it
refuses with a `ToolError`, the model hears and can explain to the caller.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from itertools import count
from typing import Annotated, Any, Literal, Optional

from conversimple import ConversimpleAgent, ToolError, current_call, tool, tool_async

logger = logging.getLogger("customer_service")

REFUND_LIMIT = Decimal("100.00")
REFUND_DAYS = 30

CustomerId = Annotated[str, "the customer's number, such as C-1001"]
OrderId = Annotated[str, "the order's number, such as O-2001"]
Topic = Literal["account", "billing", "delivery", "product"]
Reason = Literal["damaged", "late", "wrong_item", "changed_mind"]


class Priority(Enum):
    """How soon somebody looks at a ticket."""

    LOW = "low"
    NORMAL = "normal"
    URGENT = "urgent"


@dataclass(frozen=True)
class Address:
    """Where parcels go."""

    street: str
    postal_code: str
    town: str
    country: Annotated[str, "two letters, such as NO"]


@dataclass(frozen=True)
class Customer:
    """Somebody with an account."""

    customer_id: str
    email: str
    address: Address
    customer_since: date


@dataclass(frozen=True)
class Order:
    """Something bought."""

    order_id: str
    customer_id: str
    ordered_on: date
    total: Decimal
    refunded: Decimal = Decimal("0.00")

    @property
    def refundable(self) -> Decimal:
        """What has not been paid back yet."""
        return self.total - self.refunded


@dataclass(frozen=True)
class Ticket:
    """Something that a person has to look at."""

    ticket_id: str
    customer_id: str
    conversation_id: str
    topic: Topic
    description: str
    priority: Priority
    call_back_on: Optional[date]


@dataclass(frozen=True)
class Refund:
    """Money on its way back."""

    refund_id: str
    order_id: str
    amount: Decimal
    reason: Reason
    still_refundable: Decimal


class Shop:
    """Accounts, orders and tickets, in memory: your database goes here.

    May be used from any thread, as tools do that are plain methods. What it returns
    is frozen, so nobody sees it change.
    """

    def __init__(self, customers: Iterable[Customer], orders: Iterable[Order]) -> None:
        # Guards everything below.
        self._lock = threading.Lock()
        self._customers = {each.customer_id: each for each in customers}
        self._orders = {each.order_id: each for each in orders}
        self._tickets: list[Ticket] = []
        self._refunds: list[Refund] = []

    def customer(self, customer_id: str) -> Customer:
        """Find a customer."""
        with self._lock:
            return self._customer(customer_id)

    def orders(self, customer_id: str) -> list[Order]:
        """Find what a customer has bought, the latest first."""
        with self._lock:
            self._customer(customer_id)
            orders = [o for o in self._orders.values() if o.customer_id == customer_id]
        return sorted(orders, key=lambda order: order.ordered_on, reverse=True)

    def change(self, customer_id: str, **changes: Any) -> Customer:
        """Change some fields of a customer."""
        with self._lock:
            customer = replace(self._customer(customer_id), **changes)
            self._customers[customer_id] = customer
        return customer

    def open_ticket(
        self,
        customer_id: str,
        conversation_id: str,
        topic: Topic,
        description: str,
        priority: Priority,
        call_back_on: Optional[date],
    ) -> Ticket:
        """Write down what a person has to look at."""
        if call_back_on is not None and call_back_on < date.today():
            raise ToolError(f"{call_back_on} is over; ask for a day to come.")
        with self._lock:
            self._customer(customer_id)
            ticket = Ticket(
                f"T-{len(self._tickets) + 1}",
                customer_id,
                conversation_id,
                topic,
                description,
                priority,
                call_back_on,
            )
            self._tickets.append(ticket)
        return ticket

    def refund(
        self, customer_id: str, order_id: str, amount: Optional[Decimal], reason: Reason
    ) -> Refund:
        """Pay back an order, or a part of it: checked and done in one go."""
        with self._lock:
            self._customer(customer_id)
            order = self._orders.get(order_id)
            if order is None or order.customer_id != customer_id:
                raise ToolError(f"{customer_id} has no order {order_id}.")
            amount = order.refundable if amount is None else amount
            _check_refund(order, amount)
            order = replace(order, refunded=order.refunded + amount)
            self._orders[order_id] = order
            refund = Refund(
                f"R-{len(self._refunds) + 1}",
                order_id,
                amount,
                reason,
                order.refundable,
            )
            self._refunds.append(refund)
        return refund

    def _customer(self, customer_id: str) -> Customer:
        try:
            return self._customers[customer_id]
        except KeyError:
            raise ToolError(
                f"There is no customer {customer_id}; ask for the number again."
            ) from None


class Mailer:
    """Sends email: your mail service goes here.

    Async tools, and only they, run on the SDK's own event loop. A client that is
    bound to a loop must therefore be made in the tool, not in the constructor.
    """

    def __init__(self) -> None:
        self._numbers = count(1)

    async def send(self, email: str, subject: str, body: str) -> str:
        """Send an email, and return its id."""
        await asyncio.sleep(0)  # the network
        return f"M-{next(self._numbers)}"


class CustomerServiceAgent(ConversimpleAgent):
    """Serves customers as far as the rules of the house allow.

    Args:
        shop: the accounts and orders, to be shared by several agents; by default a
            few samples.
        options: what every agent takes, such as ``api_key``.
    """

    def __init__(self, *args: Any, shop: Optional[Shop] = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.shop = shop or sample_shop()
        self.mailer = Mailer()

    @tool("Look up customer information")
    def lookup_customer(self, customer_id: CustomerId) -> Customer:
        """Find a customer by number."""
        return self.shop.customer(customer_id)

    @tool("List the orders of a customer, the latest first")
    def list_orders(self, customer_id: CustomerId) -> list[Order]:
        """Find what a customer has bought."""
        return self.shop.orders(customer_id)

    @tool("Change the email address or the postal address of a customer")
    def update_account(
        self,
        customer_id: CustomerId,
        email: Optional[str] = None,
        address: Optional[Address] = None,
    ) -> Customer:
        """Change what is given, and leave the rest.

        Args:
            email: the new email address
            address: the new postal address, complete
        """
        changes: dict[str, Any] = {}
        if email is not None:
            changes["email"] = _checked_email(email)
        if address is not None:
            changes["address"] = address
        if not changes:
            raise ToolError("Nothing to change; ask for the new email or address.")
        return self.shop.change(customer_id, **changes)

    @tool("Open a support ticket, for what a person has to look at")
    def create_ticket(
        self,
        customer_id: CustomerId,
        topic: Topic,
        description: str,
        priority: Priority = Priority.NORMAL,
        call_back_on: Optional[date] = None,
    ) -> Ticket:
        """Open a ticket that remembers the conversation it comes from.

        Args:
            description: what the caller wants, in one or two sentences
            call_back_on: the day on which the customer wants to be called back
        """
        conversation_id = current_call().conversation_id
        return self.shop.open_ticket(
            customer_id, conversation_id, topic, description, priority, call_back_on
        )

    @tool_async("Send email notification", timeout=10)
    async def send_email(self, email: str, subject: str, body: str) -> dict[str, Any]:
        """Send an email; other tools go on meanwhile.

        Args:
            email: the address it goes to
            subject: what it is about, in a few words
            body: the text
        """
        message_id = await self.mailer.send(_checked_email(email), subject, body)
        return {"sent": True, "message_id": message_id}

    @tool("Refund an order, or a part of it")
    def process_refund(
        self,
        customer_id: CustomerId,
        order_id: OrderId,
        reason: Reason,
        amount: Optional[Decimal] = None,
    ) -> Refund:
        """Pay back what the rules allow.

        Args:
            reason: why the customer wants the money back
            amount: how much; null for all that has not been paid back yet
        """
        refund = self.shop.refund(customer_id, order_id, amount, reason)
        logger.info("refund %s for order %s", refund.refund_id, order_id)
        return refund

    def on_error(self, error_type: str, message: str, details: dict[str, Any]) -> None:
        """A tool, a callback or the connection failed; the agent goes on."""
        logger.warning("%s: %s", error_type, message)


def sample_shop() -> Shop:
    """Make a shop with two customers and a few orders."""
    address = Address("1 Harbour Street", "5003", "Bergen", "NO")
    since = date(2021, 4, 1)

    def order(number: int, customer_id: str, days_ago: int, total: str) -> Order:
        ordered_on = date.today() - timedelta(days=days_ago)
        return Order(f"O-{number}", customer_id, ordered_on, Decimal(total))

    return Shop(
        [
            Customer("C-1001", "c-1001@example.com", address, since),
            Customer("C-1002", "c-1002@example.com", address, since),
        ],
        [
            order(2001, "C-1001", 5, "79.90"),
            order(2002, "C-1001", 90, "24.50"),
            order(2003, "C-1002", 12, "349.00"),
        ],
    )


def _check_refund(order: Order, amount: Decimal) -> None:
    if order.ordered_on < date.today() - timedelta(days=REFUND_DAYS):
        raise ToolError(f"Orders can be refunded for {REFUND_DAYS} days only.")
    if not order.refundable:
        raise ToolError(f"Order {order.order_id} has been refunded already.")
    if amount > order.refundable:
        raise ToolError(f"Only {order.refundable} can be refunded for this order.")
    if amount > REFUND_LIMIT:
        raise ToolError(
            f"Refunds above {REFUND_LIMIT} need a person; open a billing ticket."
        )
    if amount <= 0 or amount != round(amount, 2):
        raise ToolError("The amount must be above zero, with two decimals at most.")


def _checked_email(email: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        raise ToolError(f"{email} is not an email address; ask for it again.")
    return email


def main() -> None:
    """Serve callers until Ctrl-C or SIGTERM."""
    logging.basicConfig(level=logging.INFO)
    key = os.environ.get("CONVERSIMPLE_API_KEY") or "local"
    CustomerServiceAgent(api_key=key).run_forever()


if __name__ == "__main__":
    main()
