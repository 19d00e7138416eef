"""Import a module, and tell how many seconds that took."""

from __future__ import annotations

import sys
import time


def seconds(module: str) -> float:
    """Import it for the first time."""
    begun = time.perf_counter()
    __import__(module)
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(seconds(sys.argv[1]))
