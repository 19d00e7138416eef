"""Docstrings of the common styles are understood."""

from __future__ import annotations

import pytest
from docstring_parser import ParseError

from conversimple.core.schema import docstrings
from conversimple.core.schema.docstrings import descriptions, summary

GOOGLE = """Look up the weather
    of a city.

    It asks a service.

    Args:
        city: The name
            of the city.
        days (int, optional): How many.
        *rest: More.
        empty:
    """
NUMPY = """Look up the weather of a city.

    Parameters
    ----------
    city : str
        The name of the city.
    days : int, optional
        How many.
    """
SPHINX = """Look up the weather of a city.

    :param city: The name of the city.
    :param int days: How many.
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX])
def test_styles(docstring: str) -> None:
    """Summary and descriptions come out of each style alike."""
    assert summary(docstring) == "Look up the weather of a city."
    told = descriptions(docstring)
    assert told["city"] == "The name of the city."
    assert told["days"] == "How many."
    assert "empty" not in told


def test_a_name_is_told_without_its_star() -> None:
    """A star belongs to the signature, not to the name."""
    assert descriptions(GOOGLE)["rest"] == "More."


@pytest.mark.parametrize("docstring", [None, "", "   \n  "])
def test_nothing_is_told_by_nothing(docstring: str | None) -> None:
    """Without a docstring there is no summary and no description."""
    assert summary(docstring) == ""
    assert descriptions(docstring) == {}


def test_a_second_paragraph_is_not_the_summary() -> None:
    """Only the first paragraph is told."""
    assert summary("One.\n\nTwo.") == "One."
    assert summary("One\nand more.\nStill.\n\nTwo.") == "One and more. Still."


def test_a_docstring_that_cannot_be_parsed_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A malformed docstring is no reason to fail."""

    def fail(text: str) -> None:
        raise ParseError(text)

    monkeypatch.setattr(docstrings, "parse", fail)
    assert summary("One.") == ""
