"""Tools that are called inside of a test's transaction."""

from __future__ import annotations

import asyncio
import unittest

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import TestCase

from conversimple.integrations.django.testing import shared_connections, surrounded
from conversimple.testing import ToolCallFailed, call_tool

from .conftest import Counted
from .stock.agents import Clerk
from .stock.models import Thing


class InATransaction(TestCase):
    """What a user's tests look like; they run in `run`, inside of pytest's."""

    __test__ = False

    @classmethod
    def setUpTestData(cls) -> None:
        Thing.objects.create(name="pen")

    @shared_connections()
    def test_a_tool(self) -> None:
        assert call_tool(Clerk, "add", name="ink") == 2
        assert Thing.objects.count() == 2

    @shared_connections()
    def test_an_async_tool(self) -> None:
        assert call_tool(Clerk, "add_async", name="ink") == 2
        assert Thing.objects.count() == 2

    @shared_connections()
    def test_a_hosted_agent(self) -> None:
        agent = surrounded(Clerk("key"))
        for name in ("add", "add_async", "count_aside_with_care"):
            arguments = {} if name.startswith("count") else {"name": "ink"}
            assert call_tool(agent, name, arguments) >= 2
        assert Thing.objects.count() == 3

    @shared_connections()
    def test_a_tool_that_fails(self) -> None:
        with self.assertRaises(ToolCallFailed):
            call_tool(Clerk, "add_and_fail", name="ink")
        assert Thing.objects.count() == 1

    def test_several_blocks(self) -> None:
        for expected in (2, 3):
            with shared_connections(), shared_connections():
                assert call_tool(Clerk, "add_async", name="ink") == expected


class Afterwards(TestCase):
    """What comes after such a block."""

    __test__ = False

    def test_the_async_orm_goes_on_elsewhere(self) -> None:
        with shared_connections():
            call_tool(Clerk, "add_async", name="ink")
        assert asyncio.run(count_elsewhere()) == 0


async def count_elsewhere() -> int:
    """What somebody sees who is not in the test's transaction."""

    def count() -> int:
        try:
            return int(Thing.objects.count())
        finally:
            connection.close()

    return await sync_to_async(count)()


def run(case: type[TestCase], name: str) -> None:
    """Run one test of Django's, and fail with what it failed with."""
    result = unittest.TestResult()
    unittest.TestSuite([case(name)])(result)
    assert result.testsRun == 1
    problems = [text for _, text in (*result.failures, *result.errors)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    "name",
    [name for name in vars(InATransaction) if name.startswith("test_")],
)
def test_tools_work_inside_of_the_transaction(counted: Counted, name: str) -> None:
    """They see what the test has not committed, and are rolled back with it."""
    run(InATransaction, name)
    assert not Thing.objects.exists()
    assert counted.balance == 1  # this thread's own


def test_nothing_of_it_is_left_behind(counted: Counted) -> None:
    """The thread of the async ORM has a connection of its own again."""
    run(Afterwards, "test_the_async_orm_goes_on_elsewhere")
    assert not Thing.objects.exists()
    assert counted.balance == 1
