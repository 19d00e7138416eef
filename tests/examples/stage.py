"""An example on stage: in this process or in one of its own, against a platform."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from conversimple import ToolCallFailed
from conversimple.local import Conversation, LocalPlatform
from tests.support.threads import no_thread_left

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
LIMIT = 10.0


def example(name: str) -> Any:
    """Import an example as the file that it is; it belongs to no package."""
    spec = spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def serving(agent_type: Any, **options: Any) -> Iterator[LocalPlatform]:
    """Run an agent in this process, and check that no thread outlives it."""
    with no_thread_left(), LocalPlatform() as platform:
        with agent_type("local", "c1", platform.url, **options):
            yield platform


class Process:
    """An example in a process of its own."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen
        self.log = ""

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Send a signal, and check that it ends the process in good order."""
        self._popen.send_signal(signum)
        self.log = self._popen.communicate(timeout=LIMIT)[1]
        assert self._popen.returncode == 0, self.log
        assert "Traceback" not in self.log


@contextmanager
def running(
    name: str, platform: LocalPlatform, *arguments: str, **environment: str
) -> Iterator[Process]:
    """Run an example as its readers do, with the environment pointing to a platform.

    Args:
        name: the file's name without its ending.
        platform: where it connects to.
        arguments: what follows the file's name on the command line.
        environment: more variables, without ``CONVERSIMPLE_`` before their names.
    """
    own = {"PLATFORM_URL": platform.url, **environment}
    inherited = {k: v for k, v in os.environ.items() if "CONVERSIMPLE" not in k}
    popen = subprocess.Popen(
        [sys.executable, f"examples/{name}.py", *arguments],
        cwd=ROOT,
        env={**inherited, **{f"CONVERSIMPLE_{k}": v for k, v in own.items()}},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Process(popen)
    finally:
        popen.kill()
        popen.communicate()


def refusal(conversation: Conversation, tool_name: str, **arguments: Any) -> str:
    """Call a tool that must refuse, and give the text that the model hears."""
    return _failure("tool_execution_error", conversation, tool_name, arguments)


def invalid(conversation: Conversation, tool_name: str, **arguments: Any) -> str:
    """Call a tool with arguments that must not reach it, and give what is said."""
    return _failure("invalid_parameters", conversation, tool_name, arguments)


def _failure(
    error_type: str, conversation: Conversation, name: str, arguments: dict[str, Any]
) -> str:
    with pytest.raises(ToolCallFailed) as caught:
        conversation.request(name, arguments).result(LIMIT)
    assert caught.value.error_type == error_type
    return caught.value.message
