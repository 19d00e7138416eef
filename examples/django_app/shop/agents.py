"""The shop on the telephone: found by its place, and run by ``run_conversimple``."""

from __future__ import annotations

from typing import Any

from conversimple import ConversimpleAgent, ToolError, tool, tool_async

from .models import Order, OutOfStock, Product


class ShopAgent(ConversimpleAgent):
    """Takes orders; what it does is on the web page at once."""

    @tool("Tell what the shop sells, and how many there are of it")
    def list_products(self) -> dict[str, int]:
        """The synchronous ORM, as in a view."""
        return dict(Product.objects.values_list("name", "stock"))

    @tool("Place an order, after the caller has agreed to it", once_per="arguments")
    def place_order(self, product: str, quantity: int, customer: str) -> dict[str, Any]:
        """The same method takes the orders of the web page.

        Args:
            product: its name, as list_products gives it
            quantity: how many of it, at least 1
            customer: the caller's name
        """
        if quantity < 1:
            raise ToolError("How many? Ask the caller.")
        try:
            found = Product.objects.get(name__iexact=product.strip())
            order = found.order(quantity, customer, by_voice=True)
        except Product.DoesNotExist:
            raise ToolError(f"The shop does not sell {product}.") from None
        except OutOfStock as error:
            raise ToolError(str(error)) from error
        return {"order": order.pk, "product": found.name, "quantity": quantity}

    @tool_async("Tell what a customer has ordered, the newest order first")
    async def list_orders(self, customer: str) -> list[dict[str, Any]]:
        """The asynchronous ORM.

        Args:
            customer: the caller's name
        """
        orders = Order.objects.filter(customer__iexact=customer)[:10]
        return [
            {"order": each.pk, "product": each.product.name, "quantity": each.quantity}
            async for each in orders.select_related("product")
        ]
