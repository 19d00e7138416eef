"""The addresses that the app brings."""

from __future__ import annotations

from django.test import override_settings
from django.urls import include, path, resolve, reverse

from conversimple.integrations.django.views import healthz


class Project:
    """The addresses of a project."""

    urlpatterns = [path("inside/", include("conversimple.integrations.django.urls"))]


@override_settings(ROOT_URLCONF=Project)
def test_the_project_chooses_where_the_health_is() -> None:
    """And finds it by its name."""
    assert reverse("conversimple:healthz") == "/inside/healthz"
    assert resolve("/inside/healthz").func is healthz
