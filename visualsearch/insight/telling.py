"""What may be told: a figure with enough people behind it, and none that can be worked out from the others."""

from __future__ import annotations

from typing import Any


def told(value: float, people: int, fewest: int) -> Any:
    """A figure, or None where too few people are behind it."""
    return None if people < fewest else value


def covered(values: list[Any]) -> list[Any]:
    """Figures whose sum is told elsewhere: a single missing one could be worked out, so the smallest other one goes too."""
    missing = [at for at, value in enumerate(values) if value is None]
    there = [at for at, value in enumerate(values) if value is not None]
    if len(missing) == 1 and there:
        smallest = min(there, key=lambda at: abs(values[at]))
        return [None if at == smallest else value for at, value in enumerate(values)]
    return values
