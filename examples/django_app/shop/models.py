"""What the shop sells, and who ordered what."""

from __future__ import annotations

from django.db import models, transaction


class OutOfStock(Exception):
    """There is not so much of it."""


class Product(models.Model):
    """Something that can be ordered by its name."""

    name = models.CharField(max_length=50, unique=True)
    stock = models.PositiveIntegerField(default=0)

    class Meta:
        """As a catalogue has it."""

        ordering = ("name",)

    def __str__(self) -> str:
        return str(self.name)

    @transaction.atomic
    def order(self, quantity: int, customer: str, *, by_voice: bool = False) -> Order:
        """Take some out of the stock, for a customer.

        Raises:
            OutOfStock: there are not so many.
        """
        # In one statement: others may be ordering the same at this moment.
        enough = Product.objects.filter(pk=self.pk, stock__gte=quantity)
        if not enough.update(stock=models.F("stock") - quantity):
            raise OutOfStock(f"There are not so many {self}s.")
        placed: Order = self.orders.create(
            quantity=quantity, customer=customer, by_voice=by_voice
        )
        return placed


class Order(models.Model):
    """Somebody ordered something, on the page or by voice."""

    product = models.ForeignKey(Product, models.PROTECT, related_name="orders")
    quantity = models.PositiveIntegerField()
    customer = models.CharField(max_length=50)
    by_voice = models.BooleanField(default=False)
    placed = models.DateTimeField(auto_now_add=True)

    class Meta:
        """The newest comes first."""

        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product} for {self.customer}"
