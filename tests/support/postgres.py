"""A real PostgreSQL server, for the tests alone: it can be stopped and restarted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .threads import eventually

#: Its own user, whom Debian's packages create: it does not run as root.
USER = "postgres"

#: Ends the server when its own input ends: also when the tests are killed.
GUARD = '"$@" >/dev/null 2>&1 & echo $!; read -r _; kill -INT $!; wait $!'

#: What is lost when the machine dies is a test's.
FAST = ("-c", "fsync=off", "-c", "max_connections=200", "-c", "listen_addresses=")


class PostgresServer:
    """A cluster in a folder of its own, reached by a Unix socket only.

    Attributes:
        folder: its socket's, which is the ``host`` of a connection.
    """

    def __init__(self) -> None:
        # Not in a test's own folder, whose path is too long for a Unix socket.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._data = self.folder / "data"
        self._guard: subprocess.Popen[str] | None = None

    def __enter__(self) -> PostgresServer:
        try:
            if os.geteuid() == 0:
                shutil.chown(self.folder, USER)
            initialise = ("--no-sync", "--auth=trust", "--username", USER)
            self._run("initdb", "--pgdata", str(self._data), *initialise)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, and wait until it serves."""
        place = ("-D", str(self._data), "-k", str(self.folder))
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", _program("postgres"), *place, *FAST],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the tests, which end it.
            start_new_session=True,
            **_as_its_user(),
        )
        assert self._guard.stdout is not None
        self._guard.stdout.readline()
        eventually(self._serves, timeout=30.0, period=0.05)

    def stop(self) -> None:
        """Have it hang up on everybody, and end."""
        if self._guard is not None:
            self._guard.communicate(timeout=30.0)
            self._guard = None

    def restart(self) -> None:
        """Stop it, and start it anew at the same place."""
        self.stop()
        self.start()

    def query(self, sql: str) -> str:
        """What one statement returns, as text; its lines are the rows."""
        own = ("--no-psqlrc", "--tuples-only", "--no-align", "--command", sql)
        return self._run("psql", "--host", str(self.folder), "--user", USER, *own)

    def create_database(self, name: str) -> dict[str, Any]:
        """Create a database, and tell how Django's settings name it."""
        self.query(f"CREATE DATABASE {name}")
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": str(self.folder),
            "NAME": name,
            "USER": USER,
        }

    def _serves(self) -> bool:
        asked = ("--quiet", "--host", str(self.folder))
        return self._ended("pg_isready", *asked).returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        done = self._ended(program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _ended(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [_program(program), *arguments],
            capture_output=True,
            text=True,
            timeout=60.0,
            **_as_its_user(),
        )


def _program(name: str) -> str:
    """Where a program is: Debian has those of a server beside each other."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    places = [*map(str, reversed(versions)), os.environ.get("PATH", "")]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        pytest.fail(f"{name} is missing; install it with: apt-get install postgresql")
    return found


def _as_its_user() -> dict[str, Any]:
    """How `subprocess` starts what refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": USER, "group": USER, "extra_groups": (), "cwd": "/"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of all tests; each has databases of its own."""
    with PostgresServer() as server:
        yield server
