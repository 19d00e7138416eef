"""The tables, with something on the shelves."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

SHELVES = {"pencil": 100, "eraser": 40, "notebook": 25}


def fill(apps: Any, schema_editor: Any) -> None:
    """Put something on the shelves."""
    product = apps.get_model("shop", "Product")
    for name, stock in SHELVES.items():
        product.objects.create(name=name, stock=stock)


class Migration(migrations.Migration):
    """Products and orders."""

    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.CreateModel(
            "Product",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("name", models.CharField(max_length=50, unique=True)),
                ("stock", models.PositiveIntegerField(default=0)),
            ],
            options={"ordering": ("name",)},
        ),
        migrations.CreateModel(
            "Order",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("quantity", models.PositiveIntegerField()),
                ("customer", models.CharField(max_length=50)),
                ("by_voice", models.BooleanField(default=False)),
                ("placed", models.DateTimeField(auto_now_add=True)),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="shop.product",
                    ),
                ),
            ],
            options={"ordering": ("-id",)},
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
