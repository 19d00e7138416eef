"""How it looks."""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress

import pytest

from conversimple.dev.printing import Printer, harmless


def printed(*arguments: str, **options: float | str) -> str:
    """One line, as it is piped."""
    file = io.StringIO()
    Printer(file).line(*arguments, **options)  # type: ignore[arg-type]
    return file.getvalue()


def test_a_line() -> None:
    """The time, the source, and the text, without colours in a pipe."""
    line = printed("Weather", "conv_1: call_1 gets 1", "green")
    assert re.fullmatch(r"\d\d:\d\d:\d\d  Weather {9}conv_1: call_1 gets 1\n", line)


def test_sources_with_long_names() -> None:
    """Room is made for them, but not without end."""
    file = io.StringIO()
    printer = Printer(file)
    printer.make_room(["A", "CustomerServiceAgent"])
    printer.line("A", "x")
    printer.make_room(["A" * 100])
    printer.line("A", "x")
    assert [len(line) for line in file.getvalue().splitlines()] == [33, 41]


def test_durations_are_milliseconds() -> None:
    """With a tenth."""
    assert printed("Weather", "done", seconds=0.01234).endswith("done  (12.3 ms)\n")


def test_long_texts_stay_one_line() -> None:
    """Whatever reads them from a pipe has them whole."""
    assert printed("dev", "word " * 100).count("\n") == 1


def test_markup_is_text() -> None:
    """Nothing in it means anything."""
    assert "[bold]x[/] :smile:" in printed("dev", "[bold]x[/] :smile:")


def test_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """There they are."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in printed("dev", "broken", "bold red")


@pytest.mark.parametrize(
    "text, shown",
    [
        ("a\nb", "a b"),
        ("\x1b[2Jx", "\N{REPLACEMENT CHARACTER}[2Jx"),
        ("\u202egnp", "\N{REPLACEMENT CHARACTER}gnp"),
        ("Grüß Gott, 世界", "Grüß Gott, 世界"),
    ],
)
def test_nothing_steers_the_terminal(text: str, shown: str) -> None:
    """What agents send is shown, and does nothing."""
    assert harmless(text) == shown
    assert shown in printed("x", text)


def test_nobody_reads_any_more() -> None:
    """That is told once; those who end everything then need not care."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1) as file:
        printer = Printer(file)
        with pytest.raises(BrokenPipeError):
            printer.line("dev", "x")
        printer.line("dev", "x")
        with suppress(BrokenPipeError):
            file.close()
