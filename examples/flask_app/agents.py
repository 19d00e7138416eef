"""The agent of the shop: each tool has an application context, and so a session."""

from __future__ import annotations

from typing import Annotated

from conversimple import ConversimpleAgent, ToolError, tool

from .models import Order, Product, db

OrderId = Annotated[int, "the number of the order"]


class ShopAgent(ConversimpleAgent):
    """Sells tea to callers."""

    @tool("List the teas, their prices in cents, and how many packets there are")
    def list_products(self) -> list[dict[str, str | int]]:
        """Look at the shelves."""
        products = db.session.scalars(db.select(Product).order_by(Product.name))
        return [
            {"name": each.name, "price": each.price, "stock": each.stock}
            for each in products
        ]

    @tool("Order packets of a tea for the caller", once_per="arguments")
    def place_order(self, product: str, quantity: int, customer: str) -> dict[str, int]:
        """Take from the shelf, and note it; the model may ask for it twice.

        Args:
            product: the name of the tea
            quantity: how many packets
            customer: the name of the caller
        """
        if quantity < 1:
            raise ToolError("How many packets? At least one.")
        found = db.session.scalar(
            # The shelf is asked and emptied at once: nobody comes in between.
            db.update(Product)
            .where(Product.name == product, Product.stock >= quantity)
            .values(stock=Product.stock - quantity)
            .returning(Product.id)
        )
        if found is None:
            raise ToolError(f"There are not {quantity} packets of {product}.")
        order = Order(product_id=found, quantity=quantity, customer=customer)
        db.session.add(order)
        db.session.commit()
        return {"order_id": order.id}

    @tool("Cancel an order", once_per="arguments")
    def cancel_order(self, order_id: OrderId) -> str:
        """Put it back on the shelf."""
        cancelled = db.session.execute(
            db.update(Order)
            .where(Order.id == order_id, Order.cancelled.is_(False))
            .values(cancelled=True)
            .returning(Order.product_id, Order.quantity)
        ).one_or_none()
        if cancelled is None:
            raise ToolError(f"There is no order {order_id} to be cancelled.")
        product_id, quantity = cancelled
        db.session.execute(
            db.update(Product)
            .where(Product.id == product_id)
            .values(stock=Product.stock + quantity)
        )
        db.session.commit()
        return f"Order {order_id} is cancelled."
