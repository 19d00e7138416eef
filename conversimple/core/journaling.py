"""What a session and a journal tell each other about calls.

The journal is the ledger on disk: it lets a new process know what a killed one has
begun and answered. A session never reads or writes it; these values travel.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .keys import Key


class Entry(NamedTuple):
    """What is noted of a call before its tool runs.

    Attributes:
        key: the call.
        digest: of the tool and the arguments, to notice an id that is used again.
        tool_name: the tool.
        once: the digest of the validated arguments, for a tool that runs once per
            arguments; None for all others.
        idempotent: the tool may run again when its outcome is unknown.
    """

    key: Key
    digest: bytes
    tool_name: str
    once: bytes | None = None
    idempotent: bool = False


class Answer(NamedTuple):
    """The answer of a call.

    Attributes:
        key: the call.
        event: the answer's event.
        body: the answer's payload as JSON text.
        counts: whether it also answers a repeat under another id, when the tool
            runs once per arguments.
    """

    key: Key
    event: str
    body: str
    counts: bool = True


class Verdict(Enum):
    """Why a call runs, or does not, in the light of the journal."""

    RUN = "it is noted as begun: run it"
    UNKNOWN = "a process died while it ran: it may have been done"
    ELSEWHERE = "another process runs it, and will answer it"
    REPEATED_ELSEWHERE = "the same is being done under another id elsewhere"
    REUSED = "the id of an earlier call with other arguments"
    EVICTED = "answered long ago"


class Recovered(NamedTuple):
    """A call of a process that is gone, now ours to answer.

    Attributes:
        entry: what was noted when it began.
        answer: its answer, or None when it was not answered.
    """

    entry: Entry
    answer: Answer | None
