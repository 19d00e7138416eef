"""The shop's settings; what differs from place to place comes from the environment."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parent.parent

SECRET_KEY = os.environ.get("SECRET_KEY", "only for this example")
DEBUG = "PRODUCTION" not in os.environ
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "conversimple.integrations.django",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
ROOT_URLCONF = "pencils.urls"
WSGI_APPLICATION = "pencils.wsgi.application"
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
]
STATIC_URL = "static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Web workers and tools write at once. With these, which need Django 5.1, they wait for
# each other instead of failing with "database is locked".
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", str(BASE_DIR / "db.sqlite3")),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "timeout": 20,
        },
    }
}

CONVERSIMPLE = {
    # The local platform lets any key in.
    "API_KEY": os.environ.get("CONVERSIMPLE_API_KEY", "local"),
    # With this the web server's processes run the agent, and run_conversimple need not.
    "START_IN_WEB_WORKERS": "AGENT_IN_WEB" in os.environ,
    # An order that was placed once is not placed again after a crash.
    "JOURNAL": os.environ.get("JOURNAL", str(BASE_DIR / "journal.sqlite3")),
}
