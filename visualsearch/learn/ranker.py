"""A ranker over signals, learnt from what people did with lists, with position bias taken out (LightGBM's LambdaMART).

What is learnt is how good each candidate is once it is looked at. For deeds c at places of chance e it is
(sum c + K m) / (sum e + K): deeds over looks, pulled towards m. A model of the signals alone, cross-fitted, says m.
Candidates that were hardly looked at weigh little.
Source: the doubly robust estimate in its ratio form, Oosterhuis 2023, "Doubly robust estimation for correcting position bias".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.ranking import Trees, lightgbm
from visualsearch.types import Float32, Float64, Int64

LEVELS = 32
PULL = 30.0
"""K: so many looks weigh as much as what the signals say."""
FOLDS = 5
ROUNDS = 100
TREES = {
    "num_leaves": 15, "learning_rate": 0.05, "min_data_in_leaf": 50, "feature_fraction": 0.3,
    "verbose": -1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip
ENSEMBLE = 3
WAYS = ("ours", "naive", "position")


@dataclass(frozen=True)
class Deeds:
    """Lists of candidates and what people did with them.

    `signals`: (n, f) float32, a row for each candidate; `sizes`: (q,) how many candidates each query has, in order.
    `row`, `list`, `chance`, `value`, `place`: (m,) each impression's candidate, list, chance to be looked at, worth, place.
    """

    names: Sequence[str]
    signals: Float32 = field(repr=False)
    sizes: Int64
    row: Int64
    list: Int64
    chance: Float64
    value: Float64
    place: Int64

    @property
    def clicks(self) -> int:
        """How many impressions a deed followed that speaks for the pin."""
        return int((self.value > 0).sum())


def train_ranker(
    deeds: Deeds, way: str = "ours", *, seed: int = 0, rounds: int = ROUNDS, models: int = ENSEMBLE
) -> Trees:
    """Learn from deeds: `ours`, or one of the controls: `naive` (deeds per impression), `position` (LightGBM's own argument).
    The mean of `models` is taken: several for little data, one where speed counts.

    Raises UsageError, MissingExtraError.
    """
    if way not in WAYS:
        raise UsageError(f"there is no way {way!r} to learn", f"known: {', '.join(WAYS)}")
    if not len(deeds.row) or not len(deeds.sizes):
        raise UsageError("nothing to learn from", "no list was shown", "Record impressions first")
    if way == "position":
        return _by_position(deeds, seed, rounds)
    count = len(deeds.signals)
    if way == "naive":
        seen = np.bincount(deeds.row, minlength=count)
        worth = np.bincount(deeds.row, deeds.value, count) / np.maximum(seen, 1)
        return fit(deeds, worth, None, seed, rounds, models)
    looks = np.bincount(deeds.row, deeds.chance, count).astype(np.float64)
    done = np.bincount(deeds.row, deeds.value, count).astype(np.float64)
    said = imputed(deeds, done, looks, seed)
    worth = (done + PULL * said) / (looks + PULL)
    return fit(deeds, worth, looks / (looks + PULL) + 0.05, seed, rounds, models)


def fit(
    deeds: Deeds,
    worth: Float64,
    weights: Float64 | None,
    seed: int,
    rounds: int = ROUNDS,
    models: int = ENSEMBLE,
) -> Trees:
    """LambdaMART on (n,) worths, cut into levels of equal width; the gain of a level is its worth."""
    library = lightgbm()
    low, high = float(worth.min()), float(worth.max())
    level = np.round((worth - low) / max(high - low, 1e-12) * (LEVELS - 1)).astype(np.int64)
    gains = (np.arange(LEVELS) / (LEVELS - 1) * 15).tolist()
    made = []
    for number in range(models):
        data = library.Dataset(deeds.signals, level, group=deeds.sizes, weight=weights)
        asked = _asked(len(deeds.signals), objective="lambdarank", label_gain=gains, seed=seed + number)
        made.append(library.train(asked, data, rounds))
    return _model(deeds.names, made)


def train_full(signals: Float32, sizes: Int64, labels: Int64, seed: int = 0) -> Trees:
    """LambdaMART on true labels: what no clicks can beat. For benchmarks."""
    library = lightgbm()
    made = []
    for number in range(ENSEMBLE):
        data = library.Dataset(signals, labels, group=sizes)
        gains = (2.0 ** np.arange(int(labels.max()) + 1) - 1).tolist()
        asked = _asked(len(signals), objective="lambdarank", label_gain=gains, seed=seed + number)
        made.append(library.train(asked, data, ROUNDS))
    return _model([f"signal {at}" for at in range(signals.shape[1])], made)


def imputed(deeds: Deeds, done: Float64, looks: Float64, seed: int) -> Float64:
    """(n,) what the signals alone say of each candidate's worth once looked at; of queries that were left out of the learning."""
    library = lightgbm()
    query = np.repeat(np.arange(len(deeds.sizes)), deeds.sizes)
    part = (np.random.default_rng(seed).permutation(len(deeds.sizes)) % FOLDS)[query]
    mean = float(done.sum() / max(looks.sum(), 1e-12))
    said = np.full(len(done), mean)
    rate = done / np.maximum(looks, 1e-9)
    weights = looks / (looks + 5)
    for fold in range(FOLDS):
        inside, outside = (part != fold) & (looks > 0), part == fold
        if inside.sum() < 100 or not outside.any():
            continue
        kind = "poisson" if (done >= 0).all() else "regression"
        asked = _asked(int(inside.sum()), objective=kind, num_leaves=7, seed=seed)
        data = library.Dataset(deeds.signals[inside], np.clip(rate[inside], -3, 3), weight=weights[inside])
        said[outside] = library.train(asked, data, 60).predict(deeds.signals[outside], num_threads=1)
    return said


def _by_position(deeds: Deeds, seed: int, rounds: int) -> Trees:
    """LightGBM's own way: clicks list by list, and the places as its argument `position`."""
    library = lightgbm()
    order = np.lexsort((deeds.place, deeds.list))
    sizes = np.unique(deeds.list[order], return_counts=True)[1]
    data = library.Dataset(
        deeds.signals[deeds.row[order]],
        (deeds.value[order] > 0).astype(np.int64),
        group=sizes,
        position=deeds.place[order],
    )
    asked = _asked(len(order), objective="lambdarank", seed=seed)
    return _model(deeds.names, [library.train(asked, data, rounds)])


def _asked(rows: int, **more: Any) -> dict[str, Any]:
    few = {"min_data_in_leaf": max(3, min(50, rows // 60))}
    return {**TREES, **few, "num_threads": 1 if rows < 200_000 else 2, **more}


def _model(names: Sequence[str], made: Sequence[Any]) -> Trees:
    gains = np.mean([each.feature_importance("gain") for each in made], 0)
    shares = gains / max(float(gains.sum()), 1e-12)
    told = dict(sorted(zip(names, shares.tolist(), strict=True), key=lambda each: -each[1]))
    return Trees(tuple(names), tuple(each.model_to_string() for each in made), told)
