"""From what is done in the console to a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..commands.failure import CommandFailed


class Act(NamedTuple):
    """Something that was done.

    Attributes:
        command: the console's command.
        fields: what was sent with it.
        value: what came of it.
        conversation_id: where, or None for what concerns no conversation.
    """

    command: str
    fields: Mapping[str, Any]
    value: Any
    conversation_id: str | None


class Recording:
    """Notes what is done. May be told from any thread.

    Attributes:
        acts: what was done, in order.

    Raises:
        CommandFailed: packages that are needed to write it are missing.
    """

    def __init__(self) -> None:
        try:
            from ..scenarios.recording import Recorder
        except ModuleNotFoundError as error:
            raise CommandFailed(
                f'--record needs {error.name}: pip install "conversimple-sdk[platform]"'
            ) from error
        self._recorder = Recorder()
        self.acts: list[Act] = []

    def note(self, command: str, fields: Mapping[str, Any], value: object) -> None:
        """Note a command of the console that was carried out."""
        answer = value if isinstance(value, dict) else {}
        where = answer.get("conversation_id") or fields.get("conversation_id")
        # Where a command needs no conversation, whatever was named was not looked at.
        known = where if isinstance(where, str) else None
        self.acts.append(Act(command, fields, answer, known))

    def write(self, path: Path) -> None:
        """Write the scenario, once.

        Raises:
            OSError: it cannot be written.
        """
        acts = list(self.acts)
        ids = dict.fromkeys(act.conversation_id for act in acts if act.conversation_id)
        names: dict[str | None, str | None] = {}
        if len(ids) > 1:  # a single one needs no name
            names.update((each, f"c{i}") for i, each in enumerate(ids, 1))
        for act in acts:
            self._tell(act, names.get(act.conversation_id))
        self._recorder.write(path)

    def _tell(self, act: Act, name: str | None) -> None:
        recorder, fields = self._recorder, act.fields
        if act.command == "call":
            outcome = {key: act.value[key] for key in OUTCOMES if key in act.value}
            tool_name, arguments = fields["tool_name"], fields.get("arguments") or {}
            recorder.called(tool_name, arguments, **outcome, conversation=name)
        elif act.command == "fault":
            recorder.fault(fields["name"], fields.get("options"))
        elif act.command == "start_conversation":
            recorder.started(name)
        elif act.command == "end_conversation":
            recorder.ended(name)


OUTCOMES = ("result", "error", "seconds")
