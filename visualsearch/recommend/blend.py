"""Searches the weights of a sum of models on saves that were set aside.

Only each person's candidates are looked at: the best pins of every model. So one set of weights is judged in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from visualsearch.types import Bool, Float32, Float64, Int64

from .matrix import Matrix

POOL = 50
"""So many best pins of each model are candidates of a person."""
STEPS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0)
PATIENCE = 2
"""So many steps without a gain end a climb."""
ROUNDS = 4
GAIN = 0.0005
"""A change of weights must gain so large a share, so that chance does not add models."""
FOLLOW = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)


class Following(NamedTuple):
    """What the saves of those whom one follows weigh: `through` the models, as if they were one's own, and `direct`, as votes."""

    through: float = 0.0
    direct: float = 0.0


NOBODY = Following()


@dataclass(frozen=True)
class Pool:
    """`own` and `theirs` are scores, (models, persons, candidates). `hit` says which candidates were set aside; `sizes`, how
    many were. `direct` (persons, candidates) scores pins by those whom one follows alone.
    """

    names: tuple[str, ...]
    own: Float32
    theirs: Float32 | None
    hit: Bool
    sizes: Int64
    direct: Float32 | None = None


class Scored(NamedTuple):
    """A model's scores of all pins, (n, pins) float16, and its best pins, (n, POOL) positions."""

    scores: NDArray[np.float16]
    best: NDArray[np.int32]


def kept(scores: Float32) -> Scored:
    """Scores as they are kept: rounded, but the best pins are those of the exact ones."""
    k = min(POOL, scores.shape[1] - 1)
    return Scored(scores.astype(np.float16), np.argpartition(-scores, k, axis=1)[:, :k].astype(np.int32))


def joined(parts: Sequence[Scored]) -> Scored:
    """The parts of several batches of persons as one."""
    return Scored(np.concatenate([p.scores for p in parts]), np.concatenate([p.best for p in parts]))


def pooled(
    own: Mapping[str, Scored], theirs: Mapping[str, Scored], aside: Matrix, direct: Scored | None = None
) -> Pool:
    """The candidates of each person, from the scores of all pins; -inf stands for a pin that is saved already."""
    arrays = [*own.values(), *theirs.values()]
    every = arrays if direct is None else [*arrays, direct]
    at, real = _candidates(np.concatenate([each.best for each in every], axis=1))
    rows = np.arange(len(at))[:, None] * aside.shape[1]
    keys = np.repeat(np.arange(aside.shape[0]), np.diff(aside.indptr)) * aside.shape[1] + aside.indices
    hit = np.isin(at + rows, keys) & real
    taken = [_taken(each.scores, at, real) for each in arrays]
    friends = np.stack(taken[len(own) :]) if theirs else None
    return Pool(tuple(own), np.stack(taken[: len(own)]), friends, hit, np.diff(aside.indptr).astype(np.int64))


def _candidates(best: NDArray[np.int32]) -> tuple[Int64, Bool]:
    """Each row's distinct positions, in order, and which columns hold one."""
    ordered = np.sort(best.astype(np.int64), axis=1)
    first = np.ones(ordered.shape, dtype=bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    width = int(first.sum(axis=1).max())
    order = np.argsort(~first, axis=1, kind="stable")[:, :width]
    return np.take_along_axis(ordered, order, axis=1), np.take_along_axis(first, order, axis=1)


def _taken(scores: NDArray[Any], at: Int64, real: Bool) -> Float32:
    found: Float32 = np.take_along_axis(scores, at, axis=1).astype(np.float32)
    found[~real] = -np.inf
    return found


def added(pool: Pool, weights: Mapping[str, float], follow: Following = NOBODY) -> Float32:
    """The weighted sum of the models, (persons, candidates)."""
    scores: Float32 = np.zeros(pool.hit.shape, dtype=np.float32)
    for at, name in enumerate(pool.names):
        weight = weights.get(name, 0.0)
        if weight:
            scores += np.float32(weight) * pool.own[at]
            if follow.through and pool.theirs is not None:
                scores += np.float32(weight * follow.through) * pool.theirs[at]
    if follow.direct and pool.direct is not None:
        scores += np.float32(follow.direct * sum(weights.values())) * pool.direct
    return scores


def judged(pool: Pool, scores: Float32) -> Float64:
    """recall@10, recall@20 and NDCG@10 of each person, (n, 3), when the candidates are ordered by these scores."""
    k = min(20, scores.shape[1])
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), 1, kind="stable"), 1)
    hits = np.take_along_axis(pool.hit, top, axis=1)
    worth = 1 / np.log2(np.arange(2, 12))[: min(10, k)]
    ideal = np.cumsum(1 / np.log2(np.arange(2, 12)))[np.clip(pool.sizes, 1, 10) - 1]
    first = hits[:, :10]
    return np.stack([first.sum(1) / pool.sizes, hits.sum(1) / pool.sizes, first @ worth / ideal], axis=1)


def figures_of(pools: Sequence[Pool], weights: Mapping[str, float], follow: Following) -> dict[str, float]:
    """The mean figures over persons, then over cuts."""
    means = np.mean([judged(pool, added(pool, weights, follow)).mean(axis=0) for pool in pools], axis=0)
    return dict(zip(("recall@10", "recall@20", "ndcg@10"), (float(m) for m in means), strict=True))


def _value(pools: Sequence[Pool], scores: Sequence[Float32]) -> float:
    """What is maximised: recall@10 + recall@20."""
    each = [judged(pool, mine)[:, :2].sum(axis=1).mean() for pool, mine in zip(pools, scores, strict=True)]
    return float(np.mean(each))


def search(pools: Sequence[Pool]) -> dict[str, float]:
    """Weights by coordinate ascent, from the best single model on."""
    names = pools[0].names
    alone = {name: _value(pools, [pool.own[at] for pool in pools]) for at, name in enumerate(names)}
    order = sorted(names, key=lambda name: (-alone[name], name))
    weights, value = {order[0]: 1.0}, alone[order[0]]
    for _ in range(ROUNDS):
        before = value
        for name in order:
            weights, value = _along(pools, weights, value, name)
        if value <= before * (1 + GAIN):
            break
    return {name: weights[name] for name in order if weights.get(name)}


def _along(
    pools: Sequence[Pool], weights: dict[str, float], value: float, name: str
) -> tuple[dict[str, float], float]:
    """The best weight of one model while the others stay: up the steps, or else down, as long as it gains."""
    at = pools[0].names.index(name)
    others = {**weights, name: 0.0}
    rest = [added(pool, others) for pool in pools]
    here = STEPS.index(weights.get(name, 0.0))
    for way in (1, -1):
        found = here
        for place in range(here + way, len(STEPS) if way > 0 else -1, way):
            step = STEPS[place]
            if not (step or any(others.values())):
                break
            got = _value(pools, [_plus(base, step, p.own[at]) for base, p in zip(rest, pools, strict=True)])
            if got > value * (1 + GAIN):
                weights, value, found = {**weights, name: step}, got, place
            elif abs(place - found) >= PATIENCE:
                break
        if found != here:
            break
    return weights, value


def _plus(base: Float32, step: float, more: Float32) -> Float32:
    """The sum; 0 times -inf would be no number."""
    return base + np.float32(step) * more if step else base


def search_follow(pools: Sequence[Pool], weights: Mapping[str, float]) -> Following:
    """What the saves of those whom one follows weigh; nothing where they gain nothing.

    The gain that is maximised is the lower end of its 95 % interval over persons. So follows count only where the interval leaves
    out zero, and a small weight that helps most people is preferred to a large one that helps some and harms others.
    """
    before = [judged(pool, added(pool, weights))[:, :2].sum(axis=1) for pool in pools]
    found, best = NOBODY, 0.0
    for _ in range(2):
        for name in Following._fields:
            for step in FOLLOW:
                changed = found._replace(**{name: step})
                after = [judged(pool, added(pool, weights, changed))[:, :2].sum(axis=1) for pool in pools]
                gains = [b - a for a, b in zip(before, after, strict=True)]
                # The cuts set aside different saves, so that their errors are about independent.
                error = float(np.mean([g.std() / max(len(g), 1) ** 0.5 for g in gains])) / len(gains) ** 0.5
                got = float(np.mean([g.mean() for g in gains])) - 1.96 * error
                if got > best:
                    found, best = changed, got
    return found
