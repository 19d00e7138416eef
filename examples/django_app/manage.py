"""A small shop whose web page and whose voice agent share models and database.

Start the platform in one terminal, the web page in another, the agent in a third::

    conversimple platform
    python examples/django_app/manage.py migrate
    python examples/django_app/manage.py runserver
    python examples/django_app/manage.py run_conversimple

What is ordered by voice is on the page at once: http://127.0.0.1:8000/
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pencils.settings")
    execute_from_command_line(sys.argv)
