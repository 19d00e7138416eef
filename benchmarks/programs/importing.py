"""Import a name of a module, and tell how many seconds that took."""

from __future__ import annotations

import sys
import time
from importlib import import_module


def seconds(module: str, name: str) -> float:
    """Import it for the first time; a module may import its names when asked."""
    begun = time.perf_counter()
    getattr(import_module(module), name)
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(seconds(sys.argv[1], sys.argv[2]))
