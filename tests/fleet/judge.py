"""What a fleet did: read off the platform's wire, and off the file of effects."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from conversimple.local import WireEntry

REGISTER = "register_conversation_tools"
ANSWERS = ("tool_call_response", "tool_call_error")

#: A call of a conversation.
Key = tuple[str, str]


@dataclass(frozen=True)
class Registration:
    """A process took a conversation, as the platform saw it."""

    time: float
    connection: int
    process: int


@dataclass
class Verdict:
    """What can be said of a fleet.

    Attributes:
        asked: how many calls were made.
        results: how many of them were answered with a result.
        unknown: answered that nobody knows whether they had their effect.
        refused: answered that they were not run, for there was no room.
        unanswered: calls without an answer.
        effects: how many lines there are in the file.
        twice: calls that had their effect more than once.
        missing: calls that were answered with a result, and had no effect.
        wrong: calls that were refused, or failed otherwise, and had an effect.
        other: the texts of other errors.
        overlaps: answers on a socket, after another one had taken the conversation.
        duplicates: answers besides the first ones.
        owners: the registrations of each conversation, in order.
    """

    asked: int = 0
    results: int = 0
    unknown: int = 0
    refused: int = 0
    effects: int = 0
    duplicates: int = 0
    unanswered: list[Key] = field(default_factory=list)
    twice: list[Key] = field(default_factory=list)
    missing: list[Key] = field(default_factory=list)
    wrong: list[Key] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    overlaps: list[str] = field(default_factory=list)
    owners: dict[str, list[Registration]] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """What must not be, in words."""
        found: dict[str, Sequence[object]] = {
            "unanswered": self.unanswered,
            "effects twice": self.twice,
            "results without effect": self.missing,
            "effects of calls that were not run": self.wrong,
            "unexpected errors": self.other,
            "owned by two": self.overlaps,
        }
        return [f"{what}: {found[what][:5]}" for what in found if found[what]]

    def taken_over(self, process: int, since: float) -> list[float]:
        """Seconds after which each conversation of a process was another's."""
        seconds = []
        for registrations in self.owners.values():
            for one, following in zip(registrations, registrations[1:]):
                is_handed_on = one.process == process != following.process
                if is_handed_on and one.time <= since <= following.time:
                    seconds.append(following.time - since)
        return seconds

    def held_by(self) -> Counter[int]:
        """How many conversations each process took last."""
        return Counter(each[-1].process for each in self.owners.values())


def judge(
    frames: Iterable[WireEntry], asked: Iterable[Key], effects: Sequence[str]
) -> Verdict:
    """Judge a fleet.

    Args:
        frames: everything that crossed the wire, in the platform's order.
        asked: the calls that were made.
        effects: the lines of the file.
    """
    verdict = Verdict()
    answers: dict[Key, list[WireEntry]] = defaultdict(list)
    for frame in frames:
        if frame.sender != "client":
            continue
        if frame.event == REGISTER:
            _registered(verdict, frame)
        elif frame.event in ANSWERS:
            _answered(verdict, frame)
            key = frame.payload["conversation_id"], frame.payload["call_id"]
            answers[key].append(frame)
    had = Counter(_key_of(line) for line in effects)
    verdict.effects = len(effects)
    for key in asked:
        verdict.asked += 1
        _judge_call(verdict, key, answers.get(key, []), had[key])
    return verdict


def _key_of(line: str) -> Key:
    conversation_id, call_id, *_ = line.split()
    return conversation_id, call_id


def _registered(verdict: Verdict, frame: WireEntry) -> None:
    described = frame.payload["tools"][0]["description"]
    found = re.search(r"process (\d+)", described)
    assert found, described
    registrations = verdict.owners.setdefault(frame.payload["conversation_id"], [])
    one = Registration(frame.time, frame.connection, int(found[1]))
    registrations.append(one)


def _answered(verdict: Verdict, frame: WireEntry) -> None:
    name = frame.payload["conversation_id"]
    registrations = verdict.owners.get(name, [])
    if not registrations or registrations[-1].connection != frame.connection:
        late = f"{name} {frame.payload['call_id']} on {frame.connection}"
        verdict.overlaps.append(late)


def _judge_call(
    verdict: Verdict, key: Key, answers: list[WireEntry], effects: int
) -> None:
    verdict.duplicates += max(0, len(answers) - 1)
    if effects > 1:
        verdict.twice.append(key)
    if not answers:
        verdict.unanswered.append(key)
    elif answers[0].event == ANSWERS[0]:
        verdict.results += 1
        if not effects:
            verdict.missing.append(key)
    else:
        _judge_error(verdict, key, answers[0].payload["error"]["message"], effects)


def _judge_error(verdict: Verdict, key: Key, text: str, effects: int) -> None:
    if "unknown" in text:
        verdict.unknown += 1
    elif text.startswith("busy"):
        verdict.refused += 1
        if effects:
            verdict.wrong.append(key)
    else:
        verdict.other.append(text)
