"""The child's end of the pipes to its parent: JSON lines."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any

#: Seconds in which an orphan may put its affairs in order.
LAST_BREATH = 3.0

CHUNK = 65536


class Link:
    """What the parent says, and what it is told.

    Attributes:
        inbox: the parent's messages; None once the parent is gone. Others may put
            things there for whoever reads it.
    """

    def __init__(self, reader: int, writer: int) -> None:
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        self._reader = reader
        self._writer = writer

    def listen(self) -> None:
        """Begin to read. The process ends soon after its parent, whatever it does."""
        # A daemon, and no buffered reader: neither may hold up the interpreter's end.
        threading.Thread(target=self._listen, name="dev-link", daemon=True).start()

    def send(self, **message: Any) -> None:
        """Tell the parent. For one thread only."""
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._writer, data) :]
        except BrokenPipeError:
            pass  # the parent is gone, and the inbox tells so

    def _listen(self) -> None:
        rest = b""
        while chunk := os.read(self._reader, CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.inbox.put(json.loads(line))
        self.inbox.put(None)
        time.sleep(LAST_BREATH)
        end_all()


def end_all() -> None:
    """End this process at once, and what it has started if it leads its group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def take_standard_streams() -> Link:
    """Use standard input and output for the link, and keep the user's code off them.

    What the user's code prints goes to standard error, and it has nothing to read.
    """
    link = Link(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.flush()
    os.dup2(2, 1)
    # Whole lines, as on a terminal, or they would come too late and in pieces.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return link
