"""Which processes there are, as the system tells."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from tests.support.threads import eventually


def children_of(pid: int) -> list[int]:
    """The ids of a process's children."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    pairs = [tuple(map(int, line.split())) for line in listing.stdout.splitlines()]
    return [child for child, parent in pairs if parent == pid]


def is_alive(pid: int) -> bool:
    """Whether there is such a process, which is no zombie."""
    told = subprocess.run(
        ["ps", "-p", str(pid), "-o", "stat="], capture_output=True, text=True
    )
    return told.stdout.strip()[:1] not in ("", "Z")


def all_gone(pids: Iterable[int]) -> None:
    """Wait until none of the processes is left."""
    eventually(lambda: not any(map(is_alive, pids)), timeout=10.0)
