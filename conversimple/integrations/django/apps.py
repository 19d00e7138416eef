"""The app for ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from .checks import check_configuration
from .web import prepare_web_workers


class ConversimpleConfig(AppConfig):
    """Agents of the Conversimple platform in this project."""

    name = "conversimple.integrations.django"
    label = "conversimple"
    verbose_name = "Conversimple"

    def ready(self) -> None:
        """Have the settings checked, and the web workers start what they are to run."""
        register(check_configuration, "conversimple")
        prepare_web_workers()
