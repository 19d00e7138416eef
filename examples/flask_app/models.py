"""What the shop sells, and what was ordered: for the page and for the agent."""

from __future__ import annotations

import sqlite3
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, ForeignKey, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What all models have in common."""


db = SQLAlchemy(model_class=Base)


class Product(Base):
    """A tea."""

    __tablename__ = "product"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    price: Mapped[int]  # cents
    stock: Mapped[int]


class Order(Base):
    """Somebody wants some of a tea."""

    __tablename__ = "order"

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id))
    product: Mapped[Product] = relationship()
    quantity: Mapped[int]
    customer: Mapped[str]
    cancelled: Mapped[bool] = mapped_column(default=False)


@event.listens_for(Engine, "connect")
def wait_for_other_writers(connection: Any, _: Any) -> None:
    """SQLite lets one write at a time; the other workers wait for their turn."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA busy_timeout = 10000")


def create_database() -> None:
    """Make the tables, and put something on the shelves."""
    if db.engine.dialect.name == "sqlite":
        # Who writes does not keep others from reading. The file remembers it.
        with db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    db.create_all()
    if db.session.scalar(db.select(Product).limit(1)) is None:
        db.session.add_all(
            [
                Product(name="Assam", price=550, stock=1000),
                Product(name="Gyokuro", price=2400, stock=3),
                Product(name="Sencha", price=900, stock=1000),
            ]
        )
        db.session.commit()
