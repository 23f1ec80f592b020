"""Checks of a whole index: do the catalog, the vector files and the approximate index agree?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.errors import IndexStateError
from visualsearch.storage import stored_file
from visualsearch.types import Bool

from .reader import Generation, Reader
from .vectors import Vectors, alive_rows

NAMED = 20
"""Pins with unusable attributes that are named one by one."""


@dataclass(frozen=True)
class Problem:
    """Something that `verify` found wrong, and what to do about it."""

    what: str
    remedy: str


def check(reader: Reader, folder: Path, dim: int, load: Callable[[Path], Any]) -> list[Problem]:
    """Everything that is wrong with an index, as one reader sees it; [] when all is well.

    `load` reads a generation's file and raises IndexStateError where it is damaged.
    """
    again = "Build the index again from its pictures"
    found = [Problem(f"the catalog is damaged: {what}", again) for what in reader.damage()]
    found += _check_values(reader, folder)
    try:
        vectors = Vectors(folder, reader.segments(), dim)
    except FileNotFoundError as error:
        return [*found, Problem(f"{error.filename} is missing", again)]
    except IndexStateError as error:
        return [*found, Problem(f"{error.what}: {error.why}", error.remedy or again)]
    alive = alive_rows(vectors, reader.dead())
    found += _check_vectors(vectors, alive)
    found += _check_pins(reader, vectors, alive)
    if (generation := reader.generation()) is not None:
        found += _check_generation(folder, generation, vectors, load)
    return found


def _check_generation(
    folder: Path, generation: Generation, vectors: Vectors, load: Callable[[Path], Any]
) -> list[Problem]:
    remedy = f"Run: visualsearch compact {folder}"
    try:
        loaded = load(stored_file(folder, generation.file))
    except FileNotFoundError:
        return [Problem(f"{generation.file} is missing", remedy)]
    except IndexStateError as error:
        return [Problem(f"{error.what}: {error.why}", remedy)]
    if loaded.ntotal != generation.covers or generation.covers > len(vectors):
        what = f"{generation.file} holds {loaded.ntotal} rows, the catalog says {generation.covers}"
        return [Problem(what, remedy)]
    return []


def _check_values(reader: Reader, folder: Path) -> list[Problem]:
    """Pins whose attributes an older release stored though they cannot be used, by name."""
    wrong = [f"pin {name!r}: {why}" for _, name, why in islice(reader.wrong_pins(), NAMED + 1)]
    more = ["there are more such pins"] if len(wrong) > NAMED else []
    remedy = (
        f"Run: visualsearch compact {folder}, which makes null what is not JSON; or index the pin's source again,"
        " or set its attributes anew"
    )
    return [Problem(what, remedy) for what in [*wrong[:NAMED], *more]]


def _check_vectors(vectors: Vectors, alive: Bool) -> list[Problem]:
    bad = 0
    for at, block in vectors.blocks():
        length = np.linalg.norm(block, axis=1)
        bad += int((~(np.abs(length - 1) < 0.01) & alive[at : at + len(block)]).sum())
    if not bad:
        return []
    return [
        Problem(f"{bad} stored vectors are not of unit length", "Build the index again from its pictures")
    ]


def _check_pins(reader: Reader, vectors: Vectors, alive: Bool) -> list[Problem]:
    """Every row that the catalog names is in a file, belongs to that pin and is alive, and no other row is."""
    pairs = reader.named_rows()
    positions = vectors.positions(pairs[:, 0])
    live = np.flatnonzero(alive)
    remedy = "Build the index again from its pictures"
    if len(positions) != len(pairs):
        return [Problem(f"{len(pairs) - len(positions)} pins have no vector", remedy)]
    if not np.array_equal(positions, live):
        return [Problem("the catalog and the vector files name different rows", remedy)]
    if not np.array_equal(vectors.pins[positions], pairs[:, 1]):
        return [Problem("some rows belong to another pin than the catalog says", remedy)]
    return []
