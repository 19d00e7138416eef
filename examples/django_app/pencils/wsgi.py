"""For web servers: ``gunicorn pencils.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pencils.settings")

application = get_wsgi_application()
