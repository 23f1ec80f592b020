"""Index recipes: how an approximate index is built for so many rows, and how it is searched."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from visualsearch.errors import UnknownNameError
from visualsearch.resources import indexes_dir


@dataclass(frozen=True)
class Preset:
    """An index recipe, read from `indexes/NAME.toml`. An empty factory means exact search: nothing is built."""

    name: str
    factory: str
    from_rows: int
    to_rows: int | None
    candidates: int
    note: str
    source: str
    build: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """True when every row is compared."""
        return not self.factory

    @property
    def parameters(self) -> dict[str, Any]:
        """What a generation built by this recipe is searched with: `search`, and `candidates` with it."""
        return {"candidates": self.candidates, **self.search}


@cache
def presets() -> dict[str, Preset]:
    """All recipes by name, smallest sizes first."""
    found = []
    for path in indexes_dir().glob("*.toml"):
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        values.setdefault("to_rows", None)
        found.append(Preset(**values))
    return {p.name: p for p in sorted(found, key=lambda p: p.from_rows)}


def preset(name: str) -> Preset:
    """The recipe of that name. Raises UnknownNameError."""
    if name not in presets():
        raise UnknownNameError("preset", name, presets(), "Or `auto`, which goes by the number of rows")
    return presets()[name]


def choose(rows: int) -> Preset:
    """The recipe meant for that many rows."""
    return next(p for p in reversed(presets().values()) if rows >= p.from_rows)


def lists_for(recipe: Preset, rows: int) -> int:
    """Number of inverted lists: a power of two near `lists_per_sqrt_row` * sqrt(rows), at most rows / 39.

    39 training points a centroid is the least that FAISS accepts without a warning.
    """
    wanted = recipe.build.get("lists_per_sqrt_row", 4) * math.sqrt(rows)
    most = max(1, rows // 39)
    return int(max(1, min(2 ** round(math.log2(max(1.0, wanted))), 2 ** int(math.log2(most)))))


def factory_for(recipe: Preset, rows: int) -> str:
    """The recipe's factory string for that many rows."""
    return recipe.factory.format(lists=lists_for(recipe, rows))
