"""Which agent class serves which conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conversimple import ConfigurationError, ConversimpleAgent
from conversimple.core.dispatch import ANY
from conversimple.dispatching.catalogue import catalogue_of, scan
from tests.commands.conftest import modules_as_before
from tests.dev.conftest import write

__all__ = ["modules_as_before", "write"]

Write = Callable[..., Path]

AGENT = """
from conversimple import ConversimpleAgent

class {name}(ConversimpleAgent):
    {line}
"""


def code(name: str, line: str) -> str:
    return AGENT.format(name=name, line=line)


def made(**attributes: Any) -> type[ConversimpleAgent]:
    """An agent class."""
    return type("Clerk", (ConversimpleAgent,), attributes)


@pytest.fixture
def shop(write: Write, tmp_path: Path) -> Iterator[Path]:
    """A folder with two agents, in a file and in a package."""
    write("clerks.py", code("Clerk", 'agent_id = "clerk"'))
    write("back/__init__.py", "")
    write("back/ovens/__init__.py", "")
    write("back/ovens/baker.py", code("Baker", 'AGENT_ID = "baker"'))
    yield tmp_path


def test_agents_are_found_by_their_ids(shop: Path) -> None:
    """In files and packages, however deep; the attribute has two spellings."""
    catalogue = scan(str(shop))
    assert catalogue.kinds == frozenset({"clerk", "baker"})
    assert catalogue.class_for("baker").__name__ == "Baker"
    assert not catalogue.failures


def test_a_file_that_cannot_be_imported(
    shop: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported, and does not take the others."""
    path = write("broken.py", "import nowhere\nclass A(B): pass\n")
    catalogue = scan(str(shop))
    assert catalogue.kinds == frozenset({"clerk", "baker"})
    assert list(catalogue.failures) == [str(path)]
    assert "nowhere" in caplog.text


def test_an_id_that_two_have(shop: Path, write: Write) -> None:
    """It is refused, and both places are named."""
    write("again.py", code("Again", 'agent_id = "clerk"'))
    with pytest.raises(ConfigurationError) as caught:
        scan(str(shop))
    assert "again.py" in str(caught.value) and "clerks.py" in str(caught.value)


def test_a_class_without_an_id(
    shop: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """It serves nothing where others have one; the log says so."""
    write("base.py", code("Base", "pass"))
    assert scan(str(shop)).kinds == frozenset({"clerk", "baker"})
    assert "Base" in caplog.text and "no agent_id" in caplog.text


def test_the_only_class_needs_no_id() -> None:
    """It serves every conversation."""
    cls = made()
    catalogue = catalogue_of([cls])
    assert catalogue.kinds is None
    assert catalogue.class_for("anything") is catalogue.class_for(ANY) is cls


def test_classes_of_which_none_has_an_id() -> None:
    """Nobody could tell them apart."""
    with pytest.raises(ConfigurationError, match="write agent_id"):
        catalogue_of([made(), made()])


def test_a_class_that_is_given_twice() -> None:
    """It is one class."""
    cls = made(agent_id="clerk")
    assert catalogue_of([cls, cls]).kinds == frozenset({"clerk"})


@pytest.mark.parametrize("value", ["", 7, "a\nb"])
def test_an_id_that_is_none(value: object) -> None:
    """The class is named, and what is wrong with it."""
    with pytest.raises(ConfigurationError, match="Clerk .*agent_id"):
        catalogue_of([made(agent_id=value)])


def test_classes_that_are_in_no_file() -> None:
    """Their module is named instead."""
    one, other = (made(agent_id="x", __module__="nowhere") for _ in range(2))
    with pytest.raises(ConfigurationError, match="nowhere"):
        catalogue_of([one, other])


def test_a_constructor_that_needs_more() -> None:
    """It is refused before the first conversation comes."""

    class Clerk(ConversimpleAgent):
        agent_id = "clerk"

        def __init__(self, shop: str, api_key: str) -> None:
            super().__init__(api_key)

    with pytest.raises(ConfigurationError, match="needs shop; give it a default"):
        catalogue_of([Clerk])
    assert catalogue_of([Clerk], {"shop": "tea"}).kinds == frozenset({"clerk"})


def test_no_agent_at_all(write: Write, tmp_path: Path) -> None:
    """The message says what to write, and what could not be imported."""
    with pytest.raises(ConfigurationError, match="write a subclass"):
        catalogue_of([])
    with pytest.raises(ConfigurationError, match="there is no file"):
        scan(str(tmp_path / "nowhere"))
    write("broken.py", "import nowhere\nclass A(B): pass\n")
    with pytest.raises(ConfigurationError, match="cannot import .*nowhere"):
        scan(str(tmp_path))
