"""SIGINT and SIGTERM, in processes that may die of them."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from queue import SimpleQueue

import pytest

from conversimple.runtime.signals import signals_into
from tests.runtime.harness import WAIT, run

HEAD = """
import os, signal, sys, threading
from queue import Empty, SimpleQueue
from conversimple.runtime.signals import signals_into
queue = SimpleQueue()
def say(*words):
    print(*words, flush=True)
"""


def process(body: str) -> tuple[int, str, str]:
    """Run a program; its exit code, output and error output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HEAD + textwrap.dedent(body)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_comes_through_the_queue(name: str) -> None:
    """Whoever waits for the queue is woken at once, and nothing is raised."""
    outcome = process(f"""
        with signals_into(queue):
            threading.Timer(0.05, os.kill, (os.getpid(), signal.{name})).start()
            say(queue.get(timeout=10) == signal.{name})
        """)
    assert outcome == (0, "True\n", "")


def test_signals_from_outside_come_one_by_one() -> None:
    """The second signal is a second entry: drain first, then leave."""
    program = HEAD + textwrap.dedent("""
        with signals_into(queue):
            say("ready")
            say(queue.get(timeout=10))
            say(queue.get(timeout=10))
        """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout and child.stderr
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        assert child.stdout.readline() == f"{int(signal.SIGTERM)}\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == f"{int(signal.SIGINT)}\n"
        assert child.wait(WAIT) == 0
        assert child.stderr.read() == ""


def test_many_signals_do_not_deadlock() -> None:
    """Thousands of signals while the main thread sits in the queue it is told by."""
    outcome = process("""
        count = 3000
        def shoot():
            for _ in range(count):
                os.kill(os.getpid(), signal.SIGTERM)
        with signals_into(queue):
            thread = threading.Thread(target=shoot)
            thread.start()
            seen = 0
            while thread.is_alive():
                try:
                    seen += queue.get(timeout=0.01) == signal.SIGTERM
                except Empty:
                    pass
            thread.join()
            say(seen + queue.qsize() > 0)
        """)
    assert outcome == (0, "True\n", "")


def test_the_handlers_are_restored() -> None:
    """After the block, Ctrl-C and SIGTERM mean what they meant before."""
    outcome = process("""
        before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
        for error in (None, ValueError):
            try:
                with signals_into(queue):
                    inside = [
                        signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)
                    ]
                    say(inside[0] is inside[1] and inside[0] not in before)
                    if error:
                        raise error
            except ValueError:
                pass
            after = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
            say(after == before)
        try:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(10)
        except KeyboardInterrupt:
            say("interrupted")
        os.kill(os.getpid(), signal.SIGTERM)
        """)
    words = "True\nTrue\nTrue\nTrue\ninterrupted\n"
    assert outcome == (-signal.SIGTERM, words, "")


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *_: say('theirs')"])
def test_handlers_of_others_are_left_alone(handler: str) -> None:
    """A server, a notebook or nohup has its own; only what was default is taken."""
    outcome = process(f"""
        theirs = {handler}
        signal.signal(signal.SIGTERM, theirs)
        with signals_into(queue):
            say(signal.getsignal(signal.SIGTERM) is theirs)
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            say(queue.get(timeout=10) == signal.SIGINT)
            say(queue.empty())
        say(signal.getsignal(signal.SIGTERM) is theirs)
        """)
    assert outcome[0] == 0 and outcome[2] == ""
    words = outcome[1].replace("theirs\n", "")
    assert words == "True\nTrue\nTrue\nTrue\n"


def test_blocks_in_blocks_are_left_alone() -> None:
    """The outer block keeps its signals; the inner one gives nothing back wrongly."""
    outcome = process("""
        inner = SimpleQueue()
        with signals_into(queue):
            mine = signal.getsignal(signal.SIGINT)
            with signals_into(inner):
                os.kill(os.getpid(), signal.SIGINT)
            say(signal.getsignal(signal.SIGINT) is mine)
            say(queue.get(timeout=10) == signal.SIGINT, inner.empty())
        say(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        """)
    assert outcome == (0, "True\nTrue True\nTrue\n", "")


def test_other_threads_touch_no_handler() -> None:
    """Handlers can be set in the main thread only: elsewhere the block just runs."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen: list[object] = []
    queue: SimpleQueue[int | None] = SimpleQueue()

    def elsewhere() -> None:
        with signals_into(queue):
            seen.extend([signal.getsignal(signal.SIGINT), threading.current_thread()])

    thread = run("elsewhere", elsewhere)
    thread.join(WAIT)
    assert seen == [before[0], thread]
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert after == before
