"""Agents inside of a Django project; ``docs/django.md`` shows each part of it at work.

In ``INSTALLED_APPS``:
    ``"conversimple.integrations.django"``, told what it needs by ``CONVERSIMPLE = {…}``
In a process of their own:
    ``manage.py run_conversimple``
In the web workers:
    ``"START_IN_WEB_WORKERS": True``, and `conversimple.integrations.gunicorn`
For code of your own:
    `database.fresh_connections`, `testing.shared_connections`, and ``urls`` with
    ``/healthz``
"""

from conversimple.errors import ConfigurationError

try:
    import django
except ImportError as error:
    raise ConfigurationError(
        'Django is missing: pip install "conversimple-sdk[django]"'
    ) from error

if django.VERSION < (4, 2):
    raise ConfigurationError(
        f"Django {django.__version__} is too old: 4.2 or later is needed"
    )
