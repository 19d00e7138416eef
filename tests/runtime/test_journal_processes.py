"""Processes that are killed, that race each other, and whose disk is full."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from conversimple.core.journaling import Answer, Recovered, Verdict
from conversimple.runtime.journal import DELIVERED_AFTER
from tests.conftest import finished, python, read_line
from tests.runtime.notes import CHILD, answer, entry, key, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "calls.db"


def killed(path: Path, *steps: str) -> None:
    """Let a process take some steps with a journal, then kill it at once."""
    code = CHILD + "\n".join(steps) + "\nos.kill(os.getpid(), signal.SIGKILL)\n"
    with python(code, str(path)) as child:
        assert finished(child) == ("", "")
        assert child.returncode == -signal.SIGKILL


BEGIN = "assert journal.begin(entry()) is Verdict.RUN"
BEGIN_IDEMPOTENT = "assert journal.begin(entry(idempotent=True)) is Verdict.RUN"
STORE = "journal.store([answer()])"
CONFIRM = "journal.confirm([key()])"


# Killed, by how far it had come.


def test_before_it_begins(path: Path) -> None:
    """It runs, for the first time."""
    killed(
        path,
        "context = journal._writing()",
        "db = context.__enter__()",
        "assert journal._admit(db, entry()) is Verdict.RUN",
    )
    with opened(path) as journal:
        assert journal.recover(None, True) == []
        assert journal.begin(entry()) is Verdict.RUN


def test_after_it_began_and_it_is_asked_again(path: Path) -> None:
    """It may have been done."""
    killed(path, BEGIN)
    with opened(path) as journal:
        assert journal.begin(entry()) is Verdict.UNKNOWN


def test_after_it_began_and_it_may_run_again(path: Path) -> None:
    """Then it does."""
    killed(path, BEGIN_IDEMPOTENT)
    with opened(path) as journal:
        assert journal.begin(entry(idempotent=True)) is Verdict.RUN


def test_after_it_began_and_nobody_asks(path: Path) -> None:
    """The next process answers, however long that takes."""
    killed(path, BEGIN)
    with opened(path, clock=lambda: 1e12) as journal:
        assert journal.recover(None, False) == [Recovered(entry(), None)]


def test_while_the_answer_is_being_stored(path: Path) -> None:
    """As if it had not been answered."""
    killed(
        path,
        BEGIN,
        "context = journal._writing(answers=[answer()])",
        "db = context.__enter__()",
    )
    with opened(path) as journal:
        assert journal.begin(entry()) is Verdict.UNKNOWN


@pytest.mark.parametrize("step", [(), (CONFIRM,)], ids=["answered", "confirmed"])
def test_after_it_was_answered_and_it_is_asked_again(
    path: Path, step: tuple[str, ...]
) -> None:
    """The same answer."""
    killed(path, BEGIN, STORE, *step)
    with opened(path) as journal:
        assert journal.begin(entry()) == answer()


def test_after_it_was_answered_and_nobody_asks(path: Path) -> None:
    """The answer is there to be sent, once."""
    killed(path, BEGIN, STORE)
    with opened(path) as journal, opened(path) as other:
        assert journal.recover(None, False) == [Recovered(entry(), answer())]
        assert other.recover(None, True) == []


def test_long_after_it_was_answered(path: Path) -> None:
    """The platform has it by then."""
    killed(path, BEGIN, STORE)
    later = time.time() + DELIVERED_AFTER + 1
    with opened(path, clock=lambda: later) as journal:
        assert journal.recover(None, True) == []
        assert journal.begin(entry()) == answer()


def test_after_it_was_confirmed(path: Path) -> None:
    """There is nothing to send."""
    killed(path, BEGIN, STORE, CONFIRM)
    with opened(path) as journal:
        assert journal.recover(None, True) == []


def test_not_killed_at_all(path: Path) -> None:
    """A deploy: the old process answers what it has begun."""
    code = CHILD + BEGIN + """
print("begun", flush=True)
sys.stdin.readline()
journal.store([answer()])
print("stored", flush=True)
sys.stdin.readline()
"""
    with python(code, str(path)) as child, opened(path) as journal:
        assert read_line(child.stdout) == "begun"
        assert journal.begin(entry()) is Verdict.ELSEWHERE
        assert journal.recover(None, True) == []
        go_on(child)
        assert read_line(child.stdout) == "stored"
        assert journal.begin(entry()) == answer()
        assert journal.recover(None, True) == []
        journal.confirm([key()])


def test_a_repeat_of_what_another_process_does(path: Path) -> None:
    """It waits as long as that lives, and is unknown afterwards."""
    code = CHILD + """
assert journal.begin(entry(1, once=b"once")) is Verdict.RUN
print("begun", flush=True)
sys.stdin.readline()
"""
    with python(code, str(path)) as child, opened(path) as journal:
        assert read_line(child.stdout) == "begun"
        repeat = entry(2, once=b"once")
        assert journal.begin(repeat) is Verdict.REPEATED_ELSEWHERE
        child.kill()
        child.wait()
        assert journal.begin(repeat) is Verdict.UNKNOWN


# The disk is full.

FULL_DISK = """
import resource
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
def full():
    limit(os.stat(sys.argv[1] + "-wal").st_size)
def refused(function):
    try:
        function()
    except JournalError as error:
        assert "full" in str(error), error
    else:
        raise AssertionError("not refused")
"""


def test_a_full_disk_loses_no_answer(path: Path) -> None:
    """It is sent from memory, new calls are refused, and all is saved later."""
    code = CHILD + FULL_DISK + BEGIN + """
full()
refused(lambda: journal.store([answer()]))
assert journal.begin(entry()) == answer()
refused(lambda: journal.begin(entry(2)))
limit(100)
refused(lambda: open_journal(sys.argv[1] + ".new", "c1"))
limit(resource.RLIM_INFINITY)
assert journal.begin(entry(2)) is Verdict.RUN
assert journal.begin(entry()) == answer()
os.kill(os.getpid(), signal.SIGKILL)
"""
    with python(code, str(path)) as child:
        assert finished(child) == ("", "")
    with opened(path) as journal:
        assert journal.recover(None, True) == [
            Recovered(entry(1), answer(1)),
            Recovered(entry(2), None),
        ]


def test_killed_while_the_disk_is_full(path: Path) -> None:
    """What was done is unknown; nothing is run on a guess."""
    killed(path, FULL_DISK, BEGIN, "full()", f"refused(lambda: {STORE})")
    with opened(path) as journal:
        assert journal.begin(entry()) is Verdict.UNKNOWN


def test_a_database_that_may_not_grow(path: Path) -> None:
    """SQLite's own word for it."""
    with opened(path) as journal:
        journal.begin(entry())
        db = journal._file.db
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
        large = Answer(key(), "event", "x" * 100_000)
        with pytest.raises(Exception, match="disk is full: make room"):
            journal.store([large])
        assert journal.begin(entry()) == large
        db.execute("PRAGMA max_page_count = 1000000")
        assert journal.begin(entry()) == large
        assert not journal._file.unsaved


# Races.


def go_on(child: subprocess.Popen[str]) -> None:
    """Let a child continue that reads a line."""
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def raced(path: Path, code: str, count: int = 2) -> list[list[str]]:
    """What some processes print that begin at once, and live until all are done."""
    begin = "print('ready', flush=True)\nsys.stdin.readline()\n"
    end = "\nprint('done', flush=True)\nsys.stdin.readline()\n"
    code = CHILD + begin + code + end
    with ExitStack() as stack:
        children = [stack.enter_context(python(code, str(path))) for _ in range(count)]
        for child in children:
            assert lines_until("ready", child) == []
        for child in children:
            go_on(child)
        outputs = [lines_until("done", child) for child in children]
        for child in children:
            go_on(child)
            assert finished(child) == ("", "")
        return outputs


def lines_until(last: str, child: subprocess.Popen[str]) -> list[str]:
    """What a child prints before a certain line."""
    assert child.stdout is not None
    lines: list[str] = []
    for line in child.stdout:
        if line.rstrip() == last:
            return lines
        lines.append(line.rstrip())
    raise AssertionError(child.communicate())


def test_every_call_runs_in_one_process_only(path: Path) -> None:
    """Threads of several processes ask for the same calls; the file stays whole."""
    code = """
import threading
def work():
    for number in range(40):
        if journal.begin(entry(number)) is Verdict.RUN:
            print(f"{number}\\n", end="")
            journal.store([answer(number)])
            journal.confirm([key(number)])
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    ran = [int(line) for lines in raced(path, code) for line in lines]
    assert sorted(ran) == list(range(40))
    with opened(path) as journal:
        db = journal._file.db
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert [journal.begin(entry(number)) for number in range(40)] == [
            answer(number) for number in range(40)
        ]


def test_what_was_left_is_taken_over_by_one_process_only(path: Path) -> None:
    """However many look for it at once, and however it was left."""
    killed(
        path,
        "for number in range(30):",
        "    journal.begin(entry(number))",
        "    if number % 2: journal.store([answer(number)])",
    )
    code = """
for found in journal.recover(None, True):
    print(found.entry.key.call_id, found.answer is not None)
"""
    taken = [line for lines in raced(path, code, 3) for line in lines]
    expected = [f"call_{number} {bool(number % 2)}" for number in range(30)]
    assert sorted(taken) == sorted(expected)


def test_a_call_that_was_left_is_asked_of_two_processes(path: Path) -> None:
    """One of them answers."""
    killed(path, *(f"journal.begin(entry({number}))" for number in range(20)))
    code = "for number in range(20): print(journal.begin(entry(number)).name)"
    for verdicts in zip(*raced(path, code), strict=True):
        assert sorted(verdicts) == ["ELSEWHERE", "UNKNOWN"]
