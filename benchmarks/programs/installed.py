"""Tell what is installed beside this interpreter: versions, and how many bytes."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distributions

INSTALLERS = {"pip", "setuptools", "wheel"}


def size(distribution: Distribution) -> int:
    """How large the files of a distribution are."""
    paths = [distribution.locate_file(file) for file in distribution.files or ()]
    files = [path for path in paths if path.is_file()]  # type: ignore[attr-defined]
    return sum(path.stat().st_size for path in files)  # type: ignore[attr-defined]


def inventory() -> dict[str, object]:
    """The versions by name, and the size of all but what installs them."""
    found = {distribution.name: distribution for distribution in distributions()}
    wanted = {name: found[name] for name in sorted(found.keys() - INSTALLERS)}
    return {
        "versions": {name: item.version for name, item in wanted.items()},
        "bytes": sum(size(item) for item in wanted.values()),
    }


if __name__ == "__main__":
    print(json.dumps(inventory()))
