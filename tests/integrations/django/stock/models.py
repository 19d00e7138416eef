"""What the tests' tools read and write."""

from __future__ import annotations

from django.db import models


class Thing(models.Model):
    """Something with a name."""

    name = models.CharField(max_length=50)

    class Meta:
        """It may be imported before the apps are there."""

        app_label = "stock"
