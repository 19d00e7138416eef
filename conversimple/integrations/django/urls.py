"""``path("", include("conversimple.integrations.django.urls"))``: ``/healthz``."""

from __future__ import annotations

from django.urls import path

from .views import healthz

app_name = "conversimple"
urlpatterns = [path("healthz", healthz, name="healthz")]
