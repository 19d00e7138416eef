"""What can keep a benchmark from being run."""

from __future__ import annotations


class BenchmarkError(Exception):
    """The run is over, without figures."""


class ContenderFailed(BenchmarkError):
    """A contender cannot be installed, or did not do what it was asked.

    Attributes:
        name: which one.
        reason: what happened.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"
