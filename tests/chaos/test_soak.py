"""Nothing grows, however long it takes; and growth is noticed."""

from __future__ import annotations

import os

import pytest

from .soak import SLACK, Sample, Soak, grown, sample

pytestmark = pytest.mark.slow

SEED = 7

#: Minutes, for whoever has more of them, or fewer.
MINUTES = "SOAK_MINUTES"

LEVEL = Sample(megabytes=100.0, threads=100.0, descriptors=100.0)


@pytest.mark.soak
def test_nothing_grows(capsys: pytest.CaptureFixture[str]) -> None:
    """Fifty agents, constant calls and cuts: memory, threads, descriptors are flat."""
    minutes = float(os.environ.get(MINUTES, "10"))
    figures = Soak(60 * minutes, agents=50, seed=SEED).run()
    with capsys.disabled():
        print(f"\n{figures}")
    assert figures.good, f"\n{figures}"
    assert not grown(figures.samples)


def test_a_moment_of_it() -> None:
    """A few agents, two seconds: nothing is lost, and there are samples to judge."""
    figures = Soak(2.0, agents=4, seed=SEED).run()
    assert figures.good, f"\n{figures}"
    assert figures.asked >= 4 and figures.cuts >= 1 and figures.samples, figures


@pytest.mark.parametrize("what", Sample._fields)
def test_growth_is_noticed(what: str) -> None:
    """A little more from sample to sample, hidden in the ups and downs."""
    samples = [LEVEL._replace(**{what: 100.0 + i + i % 7}) for i in range(100)]
    assert [text.partition(":")[0] for text in grown(samples)] == [what]


def test_ups_and_downs_are_no_growth() -> None:
    """Neither is what a process needs before it is warm."""
    cold = [Sample(10.0, 10.0, 10.0)] * 15
    peaks = [Sample(*(value * (1 + i % 5) for value in LEVEL)) for i in range(85)]
    assert not grown([*cold, *peaks])


def test_what_is_opened_is_counted() -> None:
    """A sample sees descriptors and memory."""
    before = sample()
    hoard = bytearray(b"x" * 20_000_000)
    pipes = [os.pipe() for _ in range(20)]
    after = sample()
    for pipe in pipes:
        os.close(pipe[0])
        os.close(pipe[1])
    assert after.descriptors == before.descriptors + 40 > before.descriptors
    assert after.megabytes > before.megabytes + SLACK.megabytes and hoard
    assert before.threads >= 1
