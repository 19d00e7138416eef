"""An agent's tools as errands for other processes, and why some cannot be."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core.messages import ToolCall
from ..tools import Tool
from .errands import Errand, Stub
from .travelling import NotPacked, Pickler, packed, why_not


class Packer:
    """Packs the executions of one agent's tools.

    Args:
        owner: the agent.
        is_surrounded: whether its ``tool_context`` is overridden.
        full_detail: whether the platform is told the text of unexpected exceptions.
    """

    def __init__(self, owner: object, is_surrounded: bool, full_detail: bool) -> None:
        self._owner = owner
        self._is_surrounded = is_surrounded
        self._full_detail = full_detail

    def pack(
        self,
        call: ToolCall,
        tool: Tool,
        arguments: Mapping[str, Any],
        pickler: Pickler,
        token: str,
        wants_value: bool,
    ) -> bytes:
        """Pack one execution.

        Args:
            call: the call.
            tool: its tool.
            arguments: checked and converted.
            pickler: how.
            token: like that of no other execution.
            wants_value: whether the value is to come back as it is.

        Raises:
            NotPacked: something cannot be pickled; the text names it.
        """
        errand = Errand(
            stub=Stub.of(call),
            until=time.time() + call.remaining(),
            owner=self._owner if self._needs_owner(tool) else None,
            attribute=tool.attribute,
            function=None if tool.attribute else tool.function,
            arguments=arguments,
            is_surrounded=self._is_surrounded,
            full_detail=self._full_detail,
            wants_value=wants_value,
            token=None if tool.idempotent else token,
        )
        try:
            return packed(errand, pickler)
        except Exception as error:
            told = f"its arguments cannot be pickled ({type(error).__name__}: {error})"
            raise NotPacked(*self.obstacles([tool], pickler) or [told]) from error

    def obstacles(self, tools: Iterable[Tool], pickler: Pickler) -> list[str]:
        """Why some tools cannot run in another process, each with the cure."""
        return list(self._obstacles(list(tools), pickler))

    def _obstacles(self, tools: list[Tool], pickler: Pickler) -> Iterator[str]:
        if any(map(self._needs_owner, tools)):
            obstacle = why_not(self._owner, pickler)
            yield from [obstacle] if obstacle else []
        for tool in tools:
            if tool.attribute is None:
                obstacle = why_not(tool.function, pickler)
                yield from [f"the tool {tool.name}: {obstacle}"] if obstacle else []

    def _needs_owner(self, tool: Tool) -> bool:
        return self._is_surrounded or tool.attribute is not None
