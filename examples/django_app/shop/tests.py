"""The shop's own tests: ``manage.py test``. Tools take part in their transactions."""

from __future__ import annotations

from django.test import TestCase

from conversimple.integrations.django.testing import shared_connections
from conversimple.testing import ToolCallFailed, call_tool

from .agents import ShopAgent
from .models import Order, Product


class ShopTests(TestCase):
    """The page and the agent share everything."""

    @shared_connections()
    def test_an_order_by_voice_is_on_the_page(self) -> None:
        """The tool writes into the transaction that the page reads from."""
        answer = call_tool(
            ShopAgent, "place_order", product="Pencil", quantity=3, customer="Ann"
        )
        self.assertEqual(answer["product"], "pencil")
        self.assertContains(self.client.get("/"), "3 × pencil")
        self.assertEqual(Product.objects.get(name="pencil").stock, 97)

    @shared_connections()
    def test_an_order_on_the_page_is_told_by_voice(self) -> None:
        """Also by a tool that uses the asynchronous ORM."""
        eraser = Product.objects.get(name="eraser")
        form = {"product": eraser.pk, "quantity": 2, "customer": "Ann"}
        self.assertRedirects(self.client.post("/", form), "/")
        (order,) = call_tool(ShopAgent, "list_orders", customer="ann")
        self.assertEqual((order["product"], order["quantity"]), ("eraser", 2))

    @shared_connections()
    def test_what_is_not_there(self) -> None:
        """Neither sells more than there is."""
        wanted = {"product": "notebook", "quantity": 26, "customer": "Ann"}
        with self.assertRaisesMessage(ToolCallFailed, "not so many notebooks"):
            call_tool(ShopAgent, "place_order", wanted)
        notebook = Product.objects.get(name="notebook")
        page = self.client.post("/", {**wanted, "product": notebook.pk})
        self.assertContains(page, "not so many notebooks")
        self.assertFalse(Order.objects.exists())
