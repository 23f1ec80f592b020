"""Which pins go with which, as learnt from people's boards: the part `items` of what `learn` builds."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from scipy import sparse

from .base import Gallery
from .collaborative import summed, tuned
from .learnt import Learnt, Part, current, open_learnt, text_list, texts_arrays
from .linear import strongest
from .matrix import Matrix, matrix_of

if TYPE_CHECKING:
    from visualsearch.people import Material

    from .learning import Say

ITEMS = "items"
KEPT = 100
"""So many pins that go with it are kept for each pin."""
LEAST_SAVES = 20
SECONDS = 120.0


@dataclass(frozen=True)
class Items:
    """`weights` (pins, pins) sparse: row i holds what goes with pin i, and how strongly.

    `sight` is the weight of sight in ideas; `number` is the generation.
    """

    pins: Sequence[str]
    weights: Matrix
    sight: float
    number: int
    at: Mapping[str, int]

    def scores(self, pins: Sequence[str]) -> tuple[Matrix, list[str]]:
        """What goes with each of these pins, (n, pins) sparse, and those of them that were learnt, in the order of the rows."""
        known = [name for name in pins if name in self.at]
        return self.weights[[self.at[name] for name in known]], known


def board_matrix(material: Material) -> Matrix:
    """Boards by pins: a board stands for a person, since people keep apart on boards what goes together."""
    return matrix_of(material.board, material.pin, (len(material.boards), len(material.pins)))


def enough(matrix: Matrix) -> bool:
    """Whether anything can be learnt: some boards with several pins, and some pins."""
    return bool(
        matrix.nnz >= LEAST_SAVES and matrix.shape[1] >= 3 and (np.diff(matrix.indptr) >= 2).sum() >= 2
    )


def learnt_weights(
    matrix: Matrix, seconds: float, seed: int, say: Say
) -> tuple[Matrix, Mapping[str, float], Mapping[str, float]]:
    """What goes with what, its recipes, and the figures on boards' saves that were set aside."""
    recipes, _, figures = tuned(matrix, seconds=seconds, seed=seed, factors=False, say=say)
    made: Any = summed(matrix, recipes, seed=seed).matrix
    return largest(made, KEPT), recipes, figures


def largest(weights: Any, most: int) -> Matrix:
    """The `most` largest positive entries of each row, sparse."""
    if sparse.issparse(weights):
        positive = weights.tocsr().astype(np.float32)
        positive.data[positive.data < 0] = 0.0
        positive.eliminate_zeros()
        return strongest(positive, most)
    parts = []
    for at in range(0, len(weights), 1024):
        block = np.array(weights[at : at + 1024])
        np.maximum(block, 0.0, out=block)
        if most < block.shape[1]:
            floor = np.partition(block, -most, axis=1)[:, -most][:, None]
            block[block < floor] = 0.0
        parts.append(sparse.csr_matrix(block))
    return sparse.vstack(parts).tocsr()


def part_of(material: Material, weights: Matrix, values: Mapping[str, Any]) -> Part:
    """The part as it is kept."""
    names, ends = texts_arrays(material.pins)
    arrays = {
        "ends": weights.indptr.astype(np.int64),
        "others": weights.indices.astype(np.int32),
        "weights": weights.data.astype(np.float32),
        "names": names,
        "name_ends": ends,
    }
    return Part(ITEMS, "", arrays, values)


def items_from(learnt: Learnt) -> Items | None:
    """The part as it is used; None where it was not learnt."""
    part = learnt.part(ITEMS)
    if part is None:
        return None
    arrays = part.arrays
    pins = text_list(arrays["names"], arrays["name_ends"])
    weights = sparse.csr_matrix(
        (arrays["weights"], arrays["others"], arrays["ends"]), shape=(len(pins), len(pins))
    )
    at = {name: number for number, name in enumerate(pins)}
    return Items(pins, weights, float(part.values["sight"]), learnt.number, at)


_OPENED: WeakKeyDictionary[Any, tuple[int | None, Items | None]] = WeakKeyDictionary()
_GUARD = threading.Lock()


def items_of(gallery: Gallery) -> Items | None:
    """What was learnt for an index; opened once for each generation."""
    number = current(Path(gallery.folder))
    with _GUARD:
        held = _OPENED.get(gallery)
        if held is not None and held[0] == number:
            return held[1]
    learnt = open_learnt(gallery.folder)
    made = None if learnt is None else items_from(learnt)
    with _GUARD:
        _OPENED[gallery] = (None if learnt is None else learnt.number, made)
    return made
