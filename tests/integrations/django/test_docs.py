"""docs/django.md: its blocks are a project, which is checked and whose tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conversimple.integrations.django.configuration import OWN
from tests.conftest import ROOT
from tests.support.markdown import blocks_of

PAGE = ROOT / "docs" / "django.md"

MODELS = """
from django.db import models

class Product(models.Model):
    name = models.CharField(max_length=50)
    stock = models.IntegerField()

class Order(models.Model):
    customer = models.CharField(max_length=50)
"""

#: What every project has, and the page leaves out.
REST = """
from settings import *
from settings_database import *
ROOT_URLCONF = "urls"
SECRET_KEY = "of the tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""

MORE = """
import asyncio
from shop import reports
assert asyncio.run(reports.report()) == 0
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of the page, and what belongs to them."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(MODELS)
    (tmp_path / "rest.py").write_text(REST)
    for block in blocks_of(PAGE, "python"):
        name = block.text.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(block.text)
    return tmp_path


def test_every_own_setting_is_told() -> None:
    """The others are those of the SDK."""
    text = PAGE.read_text(encoding="utf-8")
    assert not [name for name in OWN if f"| `{name}` |" not in text]


@pytest.mark.slow
def test_the_page_is_a_project(project: Path) -> None:
    """Its settings are right, its tests pass, and its other code can be run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CONVERSIMPLE_")}
    told = [
        subprocess.run(
            [sys.executable, "-W", "error", "-m", "django", *command],
            cwd=project,
            env={
                **kept,
                "CONVERSIMPLE_API_KEY": "key",
                "DJANGO_SETTINGS_MODULE": "rest",
                "PYTHONPATH": os.pathsep.join([str(project), str(ROOT)]),
            },
            capture_output=True,
            text=True,
            timeout=60.0,
        )
        for command in (
            ["check", "--fail-level", "WARNING"],
            ["test"],
            ["migrate", "--run-syncdb"],
            ["shell", "-c", MORE],
            ["shell", "-c", "import runpy; runpy.run_path('gunicorn.conf.py')"],
        )
    ]
    assert [each.returncode for each in told] == [0] * len(told), told
    assert "Ran 2 tests" in told[1].stderr
