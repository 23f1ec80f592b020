"""Builds the part `items`: weights from boards, and the weight of sight, both judged by saves that were set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from .asking import RelatedIndex
from .base import Gallery
from .ideas import Asked, Idea, ranked
from .items import ITEMS, SECONDS, Items, board_matrix, enough, learnt_weights, part_of
from .learning import Builder, Built
from .matrix import Matrix, cut

if TYPE_CHECKING:
    from visualsearch.people import Material

    from .learning import Say

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BOARDS = 300
"""Boards on which the weight of sight is chosen."""
USUAL = 0.4
"""The weight of sight where no board has a pin to set aside."""


def build(material: Material, gallery: Gallery, seed: int, say: Say) -> Built | None:
    """See `Builder`."""
    matrix = board_matrix(material)
    if not enough(matrix):
        return None
    weights, recipes, found = learnt_weights(matrix, SECONDS, seed, say)
    share, figures = sight_of(material, cast(RelatedIndex, gallery), matrix, recipes, seed)
    values = {"sight": share, "recipes": dict(recipes)}
    saves = {f"saves {name}": value for name, value in found.items()}
    return Built(part_of(material, weights, values), {**saves, **figures, "weight of sight": share})


def sight_of(
    material: Material, gallery: RelatedIndex, matrix: Matrix, recipes: Mapping[str, float], seed: int
) -> tuple[float, dict[str, float]]:
    """The weight of sight by which ideas find most of what was set aside from boards; recall@20 of it, and of each half."""
    from .collaborative import summed
    from .items import KEPT, largest

    kept, aside = cut(matrix, 0.2, seed + 1)
    some = np.flatnonzero((np.diff(aside.indptr) > 0) & (np.diff(kept.indptr) > 0))
    boards = np.sort(np.random.default_rng(seed).permutation(some)[:BOARDS])
    pins = list(material.pins)
    at = {name: number for number, name in enumerate(pins)}
    items = Items(pins, largest(summed(kept, recipes, seed=seed).matrix, KEPT), USUAL, 0, at)
    values: list[list[float]] = []
    for board in boards.tolist():
        held = set(gallery.people.pins.find([pins[i] for i in _row(matrix, board)]))
        mine = [pins[i] for i in _row(kept, board) if pins[i] in held]
        wanted = {pins[i] for i in _row(aside, board)} & held
        if mine and wanted:
            found = ranked(gallery, items, Asked(mine, frozenset(mine), ""), 200)
            values.append([recall(found, wanted, share) for share in SHARES])
    if not values:
        return USUAL, {}
    means = np.mean(values, axis=0)
    best = int(means.argmax())
    return SHARES[best], {
        "ideas recall@20": round(float(means[best]), 5),
        "ideas by saves alone": round(float(means[0]), 5),
        "ideas by sight alone": round(float(means[-1]), 5),
    }


def recall(found: Sequence[Idea], wanted: set[str], share: float) -> float:
    """The share of the wanted pins among the 20 best ideas at this weight of sight."""
    ordered = sorted(found, key=lambda idea: (-(1 - share) * idea.together - share * idea.sight, idea.pin))
    return len(wanted & {idea.pin for idea in ordered[:20]}) / len(wanted)


def _row(matrix: Matrix, at: int) -> list[int]:
    found: list[int] = matrix.indices[matrix.indptr[at] : matrix.indptr[at + 1]].tolist()
    return found


ITEMS_BUILDER = Builder(ITEMS, 1, build)
