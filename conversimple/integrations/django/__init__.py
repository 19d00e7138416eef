"""Agents inside of a Django project; ``docs/django.md`` shows each part of it at work.

In ``INSTALLED_APPS``:
    ``"conversimple.integrations.django"``, told what it needs by ``CONVERSIMPLE = {…}``
In a process of their own:
    ``manage.py run_conversimple``
In the web workers:
    ``"START_IN_WEB_WORKERS": True``, and `conversimple.integrations.gunicorn`
For code of your own:
    `database.fresh_connections`, `testing.shared_connections`, ``urls`` with
    ``/healthz``
"""
