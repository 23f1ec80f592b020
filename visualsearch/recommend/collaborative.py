"""Learns from who saved what: a weighted sum of item-item models, chosen and tuned on the training saves alone.

A part of each person's saves is set aside. Several models in closed form are learnt from the rest. Their weights are searched on
what was set aside. The models that count are then learnt from all saves. Everything is linear: a person's scores are their row of
saves times one matrix. So the weight of each save in a recommendation is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from visualsearch import resources
from visualsearch.types import Float32, Int64

from . import blend
from .linear import counts, directions, ease, graph_filter, neighbours, projected, solving_seconds
from .matrix import BATCH, Matrix, best, cut, forbid, matrix_batches

DENSE_PINS = 20_000
"""Up to so many pins a dense matrix of all pairs is solved; beyond, each pin keeps its nearest neighbours and factors."""
SHARE = 0.2
SAMPLE = 4000
SMALL = 200_000
"""Below so many saves three cuts are averaged: one alone would say little."""
SECONDS = 240.0
STRANGER = 0.05
"""What somebody whom one follows weighs whose saves have nothing in common with one's own."""
PAIRS = 50_000
"""Pairs of persons that are compared at once."""
MOST = 200
"""Neighbours that a pin keeps where the matrix is sparse."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """One model of the sum: its kind, the power of popularity, and its ridge (`ease`), rank (`low`), or power of persons' counts
    (`filter`).
    """

    kind: str
    power: float
    size: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind}({self.power:g}, {self.size:g})" if self.size else f"{self.kind}({self.power:g})"


EASES = (
    Recipe("ease", 0.25, 10),
    Recipe("ease", 0.0, 26),
    Recipe("ease", 0.25, 20),
    Recipe("ease", 0.25, 5),
)
"""In the order in which they are tried while there is time: each costs the cube of the number of pins."""
DENSE = tuple(
    Recipe("filter", power, persons) for power, persons in ((0.1, 0.3), (0.2, 0.3), (0.2, 0.5), (0.3, 0.5))
)
LOW = tuple(Recipe("low", 0.3, rank) for rank in (64, 128, 256, 512))
WALKS = tuple(Recipe("walk", power) for power in (0.3, 0.5, 0.7))


@dataclass(frozen=True)
class Weights:
    """B of scores = rows @ B: a dense or sparse matrix, factors, or their sum. `popularity` serves who saved nothing."""

    popularity: Float32
    matrix: Any = None
    left: Float32 | None = None
    right: Float32 | None = None

    def scores(self, rows: Matrix) -> Float32:
        """(n, pins) float32 of rows of saves, (n, pins) sparse."""
        made = np.zeros(rows.shape, dtype=np.float32)
        if self.matrix is not None:
            product = rows @ self.matrix
            made += product.toarray() if sparse.issparse(product) else product
        if self.left is not None and self.right is not None:
            made += (rows @ self.left) @ self.right.T
        return made


@dataclass(frozen=True)
class Fitted:
    """A tuned model: `recipes` with their weights, what following weighs, and the figures of the saves that were set aside."""

    weights: Weights
    recipes: Mapping[str, float]
    follow: blend.Following = blend.NOBODY
    vote: float = 1.0
    """The unit in which the votes of those whom one follows are added."""
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def method(self) -> str:
        """The sum in one line."""
        parts = [f"{weight:g} {name}" for name, weight in self.recipes.items()]
        if any(self.follow):
            parts.append(
                f"{self.follow.through:g} through and {self.follow.direct:g} of the votes of those one follows"
            )
        return " + ".join(parts)

    def alone(self) -> Fitted:
        """The same model for persons taken by themselves."""
        return replace(self, follow=blend.NOBODY)

    def scores(self, matrix: Matrix, persons: Int64, friends: Matrix | None = None) -> Float32:
        """(n, pins) float32 for rows of `matrix`, with the saves of those whom they follow where these count."""
        rows = matrix[persons]
        if friends is None or not any(self.follow):
            return self.weights.scores(rows)
        theirs = (alike(friends, matrix, persons) @ matrix).tocsr()
        made = self.weights.scores((rows + self.follow.through * theirs).tocsr())
        share = np.float32(self.follow.direct * sum(self.recipes.values()) / self.vote)
        made += share * rarer(theirs, self.weights.popularity)
        return made

    def lists(self, matrix: Matrix, persons: Int64, k: int, friends: Matrix | None = None) -> Int64:
        """The k best pins that each person has not saved, (n, k); those who saved nothing get the most popular."""
        parts = []
        for part in matrix_batches(persons):
            scores = self.scores(matrix, part, friends)
            scores[~scores.any(axis=1)] = self.weights.popularity
            forbid(scores, matrix[part])
            parts.append(best(scores, k))
        return np.concatenate(parts) if parts else np.zeros((0, k), dtype=np.int64)


def friends_of(pairs: Int64, persons: int) -> Matrix:
    """Who follows whom as (persons, persons) of ones, taken both ways. `pairs` (m, 2) are positions."""
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    both = np.concatenate([pairs, pairs[:, ::-1]])
    made = sparse.csr_matrix(
        (np.ones(len(both), dtype=np.float32), (both[:, 0], both[:, 1])), shape=(persons, persons)
    )
    made.sum_duplicates()
    made.data[:] = 1.0
    return made


def alike(friends: Matrix, matrix: Matrix, persons: Int64) -> Matrix:
    """The rows `persons` of `friends`, each friend weighed by how alike both persons' saves are: STRANGER plus their cosine."""
    rows = friends[persons].tocsr()
    lengths = np.maximum(np.diff(matrix.indptr), 1).astype(np.float32) ** -0.5
    units = sparse.diags(lengths) @ matrix
    owners = np.repeat(persons, np.diff(rows.indptr))
    made = rows.copy()
    for at in range(0, len(owners), PAIRS):
        part = slice(at, at + PAIRS)
        common = units[owners[part]].multiply(units[rows.indices[part]]).sum(axis=1)
        made.data[part] = STRANGER + np.asarray(common, dtype=np.float32).ravel()
    return made


def rarer(votes: Matrix, popularity: Float32) -> Float32:
    """(n, pins) float32: votes, those for popular pins lowered by the fourth root of their popularity."""
    made: Float32 = (votes @ sparse.diags(np.maximum(popularity, 1).astype(np.float32) ** -0.25)).toarray()
    return made


def fits_dense(pins: int) -> bool:
    """Whether two dense matrices of all pairs of pins fit into half of the memory."""
    return pins <= DENSE_PINS and 2 * 4 * pins**2 <= resources.memory() / 2


# -- one model -----------------------------------------------------------------------------------------------------
class Models:
    """Builds the models of one matrix; what several of them need is made once."""

    def __init__(self, matrix: Matrix, seed: int, most: int = MOST) -> None:
        self.matrix, self.seed, self.most = matrix, seed, most
        self.popularity = counts(matrix).pins
        self._directions: Float32 | None = None

    def weights(self, recipe: Recipe) -> Weights:
        """The model of a recipe."""
        if recipe.kind == "low":
            left, right = projected(self.directions(), int(recipe.size), self.popularity, recipe.power)
            return Weights(self.popularity, left=left, right=right)
        if recipe.kind == "ease":
            return Weights(self.popularity, ease(self.matrix, recipe.power, recipe.size))
        if recipe.kind == "filter":
            return Weights(self.popularity, graph_filter(self.matrix, recipe.power, recipe.size))
        return Weights(self.popularity, neighbours(self.matrix, 0.9, recipe.power, self.most))

    def directions(self) -> Float32:
        """The strongest directions, as many as any recipe takes."""
        if self._directions is None:
            self._directions = directions(self.matrix, int(max(r.size for r in LOW)), self.seed)
        return self._directions


def spread(scores: Float32) -> float:
    """How far the scores of one person lie apart: the unit in which models are added up."""
    return float(scores.std(axis=1).mean()) or 1.0


def vote_of(matrix: Matrix, friends: Matrix, popularity: Float32) -> float:
    """How far the votes of those whom one follows lie apart, for who follows somebody."""
    some = np.flatnonzero(np.diff(friends.indptr) > 0)[:BATCH]
    return spread(rarer(alike(friends, matrix, some) @ matrix, popularity)) if len(some) else 1.0


# -- tuning --------------------------------------------------------------------------------------------------------
class Clock:
    """How much of the budget is left, and what a step took."""

    def __init__(self, seconds: float) -> None:
        self.started, self.seconds = time.perf_counter(), seconds

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.started

    def allows(self, step: float) -> bool:
        """Whether a step of so many seconds fits, with as much again for learning from all saves."""
        return self.spent + 2.2 * step < self.seconds


class Trial:
    """One cut: the candidates' scores for a sample of persons, on the best pins of each candidate only."""

    def __init__(self, matrix: Matrix, seed: int, sample: int, friends: Matrix | None) -> None:
        self.kept, self.aside = cut(matrix, SHARE, seed)
        some = np.flatnonzero(np.diff(self.aside.indptr) > 0)
        self.persons = np.sort(np.random.default_rng(seed).permutation(some)[:sample])
        self.models = Models(self.kept, seed)
        self.friends = friends
        self.own: dict[str, blend.Scored] = {}
        self.theirs: dict[str, blend.Scored] = {}

    def add(self, recipe: Recipe) -> None:
        """Score the sample by one more candidate."""
        weights = self.models.weights(recipe)
        unit = spread(weights.scores(self.kept[self.persons[:BATCH]]))
        self.own[str(recipe)] = self._scored(weights, None, unit)
        if self.friends is not None:
            self.theirs[str(recipe)] = self._scored(weights, self.friends, unit)

    def _scored(self, weights: Weights, friends: Matrix | None, unit: float) -> blend.Scored:
        parts = []
        for part in matrix_batches(self.persons):
            rows = self.kept[part] if friends is None else alike(friends, self.kept, part) @ self.kept
            scores = weights.scores(rows.tocsr())
            scores /= unit
            forbid(scores, self.kept[part])
            parts.append(blend.kept(scores))
        return blend.joined(parts)

    def pool(self) -> blend.Pool:
        """The scores on each person's candidates."""
        votes = None if self.friends is None else self._votes(self.friends)
        return blend.pooled(self.own, self.theirs, self.aside[self.persons], votes)

    def _votes(self, friends: Matrix) -> blend.Scored:
        """How much those whom one follows saved each pin."""
        unit = vote_of(self.kept, friends, self.models.popularity)
        parts = []
        for part in matrix_batches(self.persons):
            scores = rarer(alike(friends, self.kept, part) @ self.kept, self.models.popularity)
            scores /= np.float32(unit)
            forbid(scores, self.kept[part])
            parts.append(blend.kept(scores))
        return blend.joined(parts)


def tuned(
    matrix: Matrix,
    *,
    friends: Matrix | None = None,
    seconds: float = SECONDS,
    seed: int = 0,
    dense: bool | None = None,
    factors: bool = True,
    say: Say = lambda _: None,
) -> tuple[Mapping[str, float], blend.Following, Mapping[str, float]]:
    """Choose recipes and weights on saves that are set aside: weights by recipe, what following weighs, and the figures.

    `factors`: whether low-rank factors may be added where the matrix of pairs is sparse.
    """
    clock = Clock(seconds)
    dense = fits_dense(matrix.shape[1]) if dense is None else dense
    solving = solving_seconds(matrix.shape[1]) if dense else 0.0
    # Three cuts choose more surely than one, where the dearest candidates fit the budget three times.
    repeats = 3 if matrix.nnz < SMALL and 2 * 3 * len(EASES) * solving < seconds else 1
    per_person = 2 * matrix.shape[1] * (12 if friends is None else 24) * repeats
    sample = int(min(SAMPLE, max(200, resources.memory() / 8 / per_person)))
    trials = [Trial(matrix, seed + 1 + at, sample, friends) for at in range(repeats)]
    _try(trials, [*(LOW if factors or dense else ()), *(DENSE if dense else WALKS)], say)
    step = len(trials) * solving
    for recipe in EASES if dense else ():
        if not clock.allows(step):
            say(f"{recipe} is not tried: {clock.spent:,.0f} of {seconds:,.0f} s are spent")
            continue
        began = clock.spent
        _try(trials, [recipe], say)
        step = clock.spent - began
    pools = [trial.pool() for trial in trials]
    chosen = blend.search(pools)
    follow = blend.search_follow(pools, chosen) if friends is not None else blend.NOBODY
    found = blend.figures_of(pools, chosen, follow)
    singles = {name: blend.figures_of(pools, {name: 1.0}, blend.NOBODY) for name in pools[0].names}
    say("set aside: " + "; ".join(f"{n} {v['recall@20']:.4f}" for n, v in singles.items()))
    return chosen, follow, found


def _try(trials: Sequence[Trial], recipes: Sequence[Recipe], say: Say) -> None:
    for recipe in recipes:
        started = time.perf_counter()
        for trial in trials:
            trial.add(recipe)
        say(f"{recipe}: {time.perf_counter() - started:,.1f} s")


def parsed(name: str) -> Recipe:
    """The recipe that `str` wrote."""
    kind, _, rest = name.rstrip(")").partition("(")
    numbers = [float(each) for each in rest.split(",")]
    return Recipe(kind, *numbers)


# -- all saves -----------------------------------------------------------------------------------------------------
def summed(
    matrix: Matrix, recipes: Mapping[str, float], *, seed: int = 0, dense: bool | None = None
) -> Weights:
    """The weighted sum of the recipes, each learnt from all saves and added in units of its spread."""
    dense = fits_dense(matrix.shape[1]) if dense is None else dense
    models = Models(matrix, seed)
    some = np.flatnonzero(np.diff(matrix.indptr) > 0)
    sample = np.sort(np.random.default_rng(seed).permutation(some)[:BATCH])
    total: Any = None
    lefts, rights = [], []
    for name, weight in recipes.items():
        made = models.weights(parsed(name))
        factor = np.float32(weight / spread(made.scores(matrix[sample])))
        if made.matrix is not None:
            made.matrix.__imul__(factor)
            total = made.matrix if total is None else _added(total, made.matrix)
        elif made.left is not None and made.right is not None:
            lefts.append(made.left * factor)
            rights.append(made.right)
    left = np.concatenate(lefts, axis=1) if lefts else None
    right = np.concatenate(rights, axis=1) if rights else None
    if not dense or left is None or right is None:
        return Weights(models.popularity, total, left, right)
    total = np.zeros((matrix.shape[1],) * 2, dtype=np.float32) if total is None else total
    for at in range(0, len(total), BATCH):
        total[at : at + BATCH] += left[at : at + BATCH] @ right.T
    return Weights(models.popularity, total)


def _added(total: Any, more: Any) -> Any:
    if sparse.issparse(total):
        return (total + more).tocsr()
    total += more
    return total


def fit(
    matrix: Matrix,
    *,
    friends: Matrix | None = None,
    seconds: float = SECONDS,
    seed: int = 0,
    dense: bool | None = None,
    say: Say = lambda _: None,
) -> Fitted:
    """Tune on a part of the saves that is set aside, then learn from all of them. The same saves and seed give the same model,
    as long as `seconds` let the same candidates be tried.
    """
    started = time.perf_counter()
    recipes, follow, figures = tuned(
        matrix, friends=friends, seconds=seconds, seed=seed, dense=dense, say=say
    )
    weights = summed(matrix, recipes, seed=seed, dense=dense)
    vote = 1.0 if friends is None else vote_of(matrix, friends, weights.popularity)
    return Fitted(weights, recipes, follow, vote, figures, time.perf_counter() - started)
