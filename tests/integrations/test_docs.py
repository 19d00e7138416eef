"""docs/flask.md and docs/servers.md do what they say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest


from conversimple.integrations import gunicorn
from conversimple.integrations.flask import OWN
from conversimple.settings import Settings
from tests.conftest import ROOT
from tests.integrations.servers import LIMIT
from tests.support.markdown import blocks_of

FLASK = ROOT / "docs" / "flask.md"
SERVERS = ROOT / "docs" / "servers.md"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of both pages."""
    for page in (FLASK, SERVERS):
        for block in blocks_of(page, "python"):
            name = block.text.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(block.text)
    return tmp_path


def test_every_own_setting_is_told() -> None:
    """The others are those of the SDK."""
    text = FLASK.read_text()
    assert all(f"`CONVERSIMPLE_{name.upper()}`" in text for name in OWN)
    assert {"journal", "tool_timeout"} <= {each.name for each in fields(Settings)}


@pytest.mark.slow
def test_the_application_of_the_page(project: Path) -> None:
    """Its own test passes, and it can be started by hand."""
    for command in (["-m", "pytest", "-q", "-p", "no:cacheprovider"], ["serving.py"]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=project,
            env={"PYTHONPATH": str(ROOT), "FLASK_CONVERSIMPLE_API_KEY": "any"},
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "'leading': " in done.stdout


def test_gunicorn_takes_the_configuration(project: Path) -> None:
    """Every name in it is one of its settings, or a hook of ours."""
    found: dict[str, object] = {}
    exec((project / "gunicorn.conf.py").read_text(), found)
    config = import_module("gunicorn.config").Config()
    for name, value in found.items():
        if name in config.settings:
            config.set(name, value)
    assert config.post_worker_init is gunicorn.post_worker_init
    assert config.worker_exit is gunicorn.worker_exit
    assert (config.workers, config.threads, config.preload_app) == (4, 4, True)
