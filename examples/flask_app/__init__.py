"""A small tea shop: its web page and its agent share the models and the database.

Install what it needs, and make the database, once::

    pip install "conversimple-sdk[flask,platform]" flask-sqlalchemy gunicorn
    flask --app examples.flask_app create-database

Start the platform in one terminal, and the shop in another::

    conversimple platform
    flask --app examples.flask_app run

The page at http://127.0.0.1:5000 lists what there is, and what was ordered. The console
of ``conversimple dev examples/simple_agent.py``, which is a platform as well, has forms
with which the shop's tools can be called.

With gunicorn, one of the workers runs the agent, and the others stand by::

    gunicorn -w 4 -c python:conversimple.integrations.gunicorn \\
        "examples.flask_app:create_app()"

Whatever is set here is also read from the environment, with ``FLASK_`` before its name:
``FLASK_SQLALCHEMY_DATABASE_URI``, say, or ``FLASK_CONVERSIMPLE_PLATFORM_URL``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from flask import Flask, render_template

from conversimple.integrations.flask import Conversimple

from .agents import ShopAgent
from .models import Order, Product, create_database, db

conversimple = Conversimple(agents=[ShopAgent])


def create_app(config: Mapping[str, Any] = MappingProxyType({})) -> Flask:
    """Make the shop.

    Args:
        config: what is set otherwise than here, in tests, say.
    """
    app = Flask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite:///shop.db",
        # A connection that the database has closed meanwhile is replaced.
        SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": True},
        CONVERSIMPLE_API_KEY=os.environ.get("CONVERSIMPLE_API_KEY", "local"),
    )
    app.config.from_prefixed_env()
    app.config.update(config)
    db.init_app(app)
    conversimple.init_app(app)
    app.cli.command("create-database")(create_database)

    @app.get("/")
    def shop() -> str:
        products = db.session.scalars(db.select(Product).order_by(Product.name))
        orders = db.session.scalars(db.select(Order).order_by(Order.id.desc()))
        return render_template("shop.html", products=products, orders=orders)

    return app
