"""The app in ``INSTALLED_APPS``."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.core.checks.registry import registry

from conversimple.integrations.django import apps as module
from conversimple.integrations.django.apps import ConversimpleConfig
from conversimple.integrations.django.checks import check_configuration


def test_the_app_is_found_by_its_package() -> None:
    """Nobody has to name its class."""
    assert isinstance(apps.get_app_config("conversimple"), ConversimpleConfig)


def test_the_settings_are_checked() -> None:
    """As soon as the app is installed."""
    assert check_configuration in registry.get_checks()
    assert registry.tag_exists("conversimple")


def test_the_web_workers_are_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the apps are ready, and their models are there."""
    prepared: list[Any] = []
    monkeypatch.setattr(module, "prepare_web_workers", lambda: prepared.append(1))
    apps.get_app_config("conversimple").ready()
    assert prepared == [1]
