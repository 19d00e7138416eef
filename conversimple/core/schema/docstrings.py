"""What a docstring says: its summary, and a description for each name.

Google, NumPy and Sphinx styles are understood.
"""

from __future__ import annotations

from docstring_parser import Docstring, ParseError, parse


def summary(docstring: str | None) -> str:
    """Return the first paragraph of a docstring on one line, or an empty string."""
    parsed = _parsed(docstring)
    text = parsed.short_description or ""
    if parsed.long_description and not parsed.blank_after_short_description:
        # The parser ends the short description at the first line break.
        text += " " + parsed.long_description.partition("\n\n")[0]
    return " ".join(text.split())


def descriptions(docstring: str | None) -> dict[str, str]:
    """Return what a docstring says about each parameter or attribute."""
    return {
        parameter.arg_name.lstrip("*"): " ".join(parameter.description.split())
        for parameter in _parsed(docstring).params
        if parameter.description
    }


def _parsed(docstring: str | None) -> Docstring:
    try:
        return parse(docstring or "")
    except ParseError:
        return Docstring()
