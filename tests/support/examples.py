"""How many examples Hypothesis tries: all of them, or few."""

from __future__ import annotations

from hypothesis import settings

#: Of a hundred.
FEW = 20


def few_examples() -> None:
    """From now on try few, also where a test asks for `examples`."""
    settings.register_profile("few", settings(), max_examples=FEW)
    settings.load_profile("few")


def examples(usual: int) -> int:
    """So many examples, or as large a part of them as is tried of others."""
    return max(1, usual * settings().max_examples // 100)
