"""Agents that are discovered, and some that are not."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from django.db import connection, transaction

from conversimple import ConversimpleAgent, ToolError, tool, tool_async
from conversimple.integrations.django.database import fresh_connections

from .models import Thing


class _Base(ConversimpleAgent):
    """Others build on it."""


class Unfinished(_Base, ABC):
    """It is abstract."""

    @abstractmethod
    def go_on(self) -> None:
        """Not written yet."""


class Clerk(_Base):
    """Its tools use the ORM in each way there is."""

    agent_id = "clerk"

    @tool("Add a thing")
    def add(self, name: str) -> int:
        Thing.objects.create(name=name)
        return int(Thing.objects.count())

    @tool_async("Add a thing, asynchronously")
    async def add_async(self, name: str) -> int:
        await Thing.objects.acreate(name=name)
        return int(await Thing.objects.acount())

    @tool("Add a thing, and fail")
    def add_and_fail(self, name: str) -> None:
        with transaction.atomic():
            Thing.objects.create(name=name)
            raise ToolError("No, after all.")

    @tool("Begin a transaction, and never end it")
    def begin(self, name: str) -> int:
        transaction.atomic().__enter__()
        Thing.objects.create(name=name)
        return int(Thing.objects.count())

    @tool_async("Count, on a thread that nobody looks after")
    async def count_aside(self) -> int:
        return int(await asyncio.to_thread(Thing.objects.count))

    @tool_async("Count, on a thread of its own, with care")
    async def count_aside_with_care(self) -> int:
        return await asyncio.to_thread(self._count_with_care)

    @tool("Do nothing with the database")
    def rest(self) -> bool:
        return connection.connection is None

    @tool_async("Do nothing with the database, asynchronously")
    async def rest_async(self) -> bool:
        return True

    def _count_with_care(self) -> int:
        with fresh_connections():
            return int(Thing.objects.count())


class Teller(_Base):
    """Another one."""

    agent_id = "teller"

    @tool("Tell")
    def tell(self) -> Any:
        return [each.name for each in Thing.objects.all()]
