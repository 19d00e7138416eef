"""Where everything is: the shop's page, and the agent's health."""

from django.urls import include, path

urlpatterns = [
    path("", include("shop.urls")),
    path("", include("conversimple.integrations.django.urls")),
]
