"""A small map over the vectors of an index, learnt from what belongs together, and kept only where it wins.

The map whitens what differs within groups (labels, boards, variants), so that what tells groups apart counts more. This is linear
discriminant analysis with shrinkage, used as a metric (Hoi and others 2006, "Learning distance metrics").
Which form of it is used is chosen on data held out within each fold. The gain that is shown is measured on other data, which
neither the map nor the choice has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from visualsearch.errors import UsageError
from visualsearch.ranking import ADAPTED_DEPTH, Head
from visualsearch.types import Bool, Float32, Int64

from .together import Together

if TYPE_CHECKING:
    from visualsearch.engine import Index

FEWEST_PINS, FEWEST_GROUPS = 60, 4
FOLDS = 5
SMALL_GROUPS = 8
"""Where the median group has fewer pins, whole groups are held out; else pins."""
MOST_RANK = 256
MOST_PINS = 40_000
MOST_ASKED, MOST_TRIED = 2_000, 500
"""Queries of a fold, and of a choice among forms."""
DRAWS = 4_000
Say = Callable[[str], None]


class Form(NamedTuple):
    """One form of the map: how much the scatter is shrunk, how far it is whitened, whether only what tells groups apart
    stays, and the share of the score that it makes."""

    shrink: float
    power: float
    discriminant: bool
    share: float


FORMS = tuple(Form(*each) for each in product((0.2,), (0.5, 1.0), (False, True), (0.5, 1.0)))


@dataclass(frozen=True)
class Adaptation:
    """What came of it. `before`, `after`: the held-out measure, plain and adapted; `gain` their difference with `interval`, 95 %.

    `kept` says whether the map counts now, `number` its generation, `why` the reason where it was refused.
    """

    kept: bool
    before: float
    after: float
    gain: float
    interval: tuple[float, float]
    measure: str
    queries: int
    pins: int
    groups: int
    form: str
    number: int | None = None
    why: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)


def adapt(
    index: Index, together: Together, *, k: int = 10, seed: int = 0, say: Say = lambda _: None
) -> Adaptation:
    """Learn a map and keep it where the held-out gain's interval lies above zero; see `Index.heads` for undoing it.

    The measure is precision at k, of at most as many as there are to find. Raises UsageError where there is too little.
    """
    found = _thinned(together, seed)
    pins, groups = len(found.vectors), found.groups
    if pins < FEWEST_PINS or groups < FEWEST_GROUPS:
        raise UsageError(
            "too little to learn from",
            f"{pins:,} pins in {groups:,} groups belong together, and {FEWEST_PINS} in {FEWEST_GROUPS} are needed",
            "Label more pins, or wait until people saved more",
        )
    rng = np.random.default_rng(seed)
    by_group = bool(np.median(np.bincount(found.group)) < SMALL_GROUPS)
    parts = rng.permutation(groups) % FOLDS if by_group else _regions(found, rng)
    gains: list[NDArray[np.float64]] = []
    units: list[Int64] = []
    for fold in range(FOLDS):
        say(f"fold {fold + 1} of {FOLDS} ...")
        inside, asked = _cut(found, parts, fold, by_group)
        chosen = _chosen(inside, np.random.default_rng((seed, fold)), by_group, k)
        if not len(asked) or chosen is None:
            continue
        measured = _measured(found, asked, _fitted(inside, chosen), k, by_group)
        gains.append(measured.values)
        units.append(measured.unit)
    if not gains or not sum(map(len, gains)):
        raise UsageError("nothing can be held out", "no pin has another one of its group", "Label more pins")
    values, unit = np.concatenate(gains), np.concatenate(units)
    gain, interval = _interval(values[:, 1] - values[:, 0], unit, rng)
    form = _chosen(found, np.random.default_rng((seed, FOLDS)), by_group, k) or FORMS[0]
    report = Adaptation(
        False, float(values[:, 0].mean()), float(values[:, 1].mean()), gain, interval, f"precision@{k}",
        len(values), pins, groups, _named(form), left_out=found.left_out,
    )  # fmt: skip
    if interval[0] <= 0:
        why = f"the gain of {gain:+.4f} has the interval {interval[0]:+.4f} to {interval[1]:+.4f}, which does not lie above zero"
        return _with(report, why=why)
    head = _fitted(found, form)
    about: dict[str, Any] = {**vars(report), "kept": True, "seed": seed}
    number = index.heads.keep(head, about)
    return _with(report, kept=True, number=number)


def _with(report: Adaptation, **changes: Any) -> Adaptation:
    from dataclasses import replace

    return replace(report, **changes)


def _named(form: Form) -> str:
    kind = "discriminant" if form.discriminant else "whitened"
    return f"{kind}, shrink {form.shrink:g}, power {form.power:g}, share {form.share:g}"


def _thinned(together: Together, seed: int) -> Together:
    """At most MOST_PINS pins."""
    count = len(together.vectors)
    if count <= MOST_PINS:
        return together
    chosen = np.zeros(count, bool)
    chosen[np.random.default_rng(seed).permutation(count)[:MOST_PINS]] = True
    return _only(together, chosen[together.pin])


def _only(together: Together, pairs: Bool) -> Together:
    """Those pairs, renumbered; groups of one pin are left out."""
    pin, group = together.pin[pairs], together.group[pairs]
    sizes = np.bincount(group, minlength=1)
    pin, group = pin[sizes[group] > 1], group[sizes[group] > 1]
    kept, pin = np.unique(pin, return_inverse=True)
    _, group = np.unique(group, return_inverse=True)
    return Together(together.vectors[kept], pin, group, together.left_out)


def _cut(found: Together, parts: Int64, fold: int, by_group: bool) -> tuple[Together, Int64]:
    """What a fold learns from, and the pins it asks for: of held-out groups, or held-out pins."""
    out = parts[found.group if by_group else found.pin] == fold
    return _only(found, ~out), np.unique(found.pin[out])


def _regions(found: Together, rng: np.random.Generator) -> Int64:
    """(n,) a fold for each pin, so that pins of one fold lie on the same side of their group.

    Photographs of one burst find each other whatever the map. Drawn by chance, folds would show no gain, and no loss either.
    """
    order = np.lexsort((found.group, found.pin))  # a pin counts for its first group
    first = order[np.unique(found.pin[order], return_index=True)[1]]
    group = found.group[first]
    parts = np.zeros(len(found.vectors), np.int64)
    for members in np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1]):
        rows = found.vectors[members] - found.vectors[members].mean(0)
        axis = rng.normal(size=rows.shape[1]).astype(np.float32)
        for _ in range(8):
            axis = rows.T @ (rows @ axis)
            axis /= max(float(np.linalg.norm(axis)), 1e-12)
        place = np.argsort(np.argsort(rows @ axis, kind="stable"), kind="stable")
        parts[members] = (place * FOLDS // max(1, len(members)) + rng.integers(FOLDS)) % FOLDS
    return parts


def _chosen(found: Together, rng: np.random.Generator, by_group: bool, k: int) -> Form | None:
    """The form that is best on a fifth held out of what there is."""
    parts = rng.permutation(found.groups) % FOLDS if by_group else _regions(found, rng)
    inside, asked = _cut(found, parts, 0, by_group)
    if not len(asked) or inside.groups < 2:
        return None
    scatter = _Scatter(inside)
    best = [
        _measured(found, asked, scatter.head(form), k, by_group, MOST_TRIED).values[:, 1].mean()
        for form in FORMS
    ]
    return FORMS[int(np.argmax(best))]


def _fitted(found: Together, form: Form) -> Head:
    return _Scatter(found).head(form)


class _Scatter:
    """Means and scatters of groups, from which each form of the map is made."""

    def __init__(self, found: Together) -> None:
        rows = found.vectors[found.pin]
        self.sizes = np.bincount(found.group).astype(np.float32)
        sums = np.zeros((len(self.sizes), rows.shape[1]), np.float32)
        np.add.at(sums, found.group, rows)
        self.means = sums / self.sizes[:, None]
        inside = rows - self.means[found.group]
        # A pair of the same group counts once, whatever the group's size: large boards do not drown small ones.
        self.within = np.asarray(inside.T @ inside / len(rows), np.float64)
        self.mean = np.asarray(found.vectors.mean(0), np.float32)
        apart = (self.means - self.mean) * np.sqrt(self.sizes / self.sizes.sum())[:, None]
        self.between = np.asarray(apart.T @ apart, np.float64)
        self._turns: dict[tuple[float, float, bool], Float32] = {}

    def head(self, form: Form) -> Head:
        """The map of one form."""
        key = form[:3]
        if key not in self._turns:
            self._turns[key] = self._turn(form)
        return Head(self._turns[key], self.mean, form.share)

    def _turn(self, form: Form) -> Float32:
        dim = len(self.within)
        ground = np.trace(self.within) / dim
        shrunk = (1 - form.shrink) * self.within + form.shrink * ground * np.eye(dim)
        values, axes = np.linalg.eigh(shrunk.astype(np.float32))
        whiten = axes * np.maximum(values / ground, 1e-6) ** (-form.power / 2)
        spread = whiten.T @ (self.between if form.discriminant else self.between + self.within) @ whiten
        strength, turned = np.linalg.eigh(spread.astype(np.float32))
        rank = min(dim, MOST_RANK, max(2, len(self.sizes) - 1) if form.discriminant else dim)
        kept = np.argsort(-strength)[:rank]
        return np.asarray(whiten @ turned[:, kept], np.float32)


class _Measured(NamedTuple):
    """(q, 2) precision of the plain and the adapted order, and (q,) what each query is resampled by."""

    values: NDArray[np.float64]
    unit: Int64


def _measured(
    found: Together, asked: Int64, head: Head, k: int, by_group: bool, most: int = MOST_ASKED
) -> _Measured:
    """Precision at k of queries among all other pins, held-out ones aside where pins were held out."""
    from scipy.sparse import csr_matrix

    asked = asked[np.linspace(0, len(asked) - 1, min(most, len(asked))).astype(np.int64)]
    shape = (len(found.vectors), found.groups)
    member = csr_matrix((np.ones(len(found.pin), np.float32), (found.pin, found.group)), shape)
    stored = np.ones(len(found.vectors), bool)
    if not by_group:
        stored[asked] = False
    gallery = np.flatnonzero(stored)
    first_group = np.zeros(len(found.vectors), np.int64)
    first_group[found.pin[::-1]] = found.group[::-1]
    behind = head.mapped(found.vectors)
    values, units = [], []
    for at in range(0, len(asked), 256):
        block = asked[at : at + 256]
        cosine = found.vectors[block] @ found.vectors[gallery].T
        same = np.asarray((member[block] @ member[gallery].T).todense()) > 0
        itself = block[:, None] == gallery
        cosine[itself], same[itself] = -9, False
        likeness = head.share * (behind[block] @ behind[gallery].T) + (1 - head.share) * cosine
        if len(gallery) > ADAPTED_DEPTH:
            far = np.argpartition(-cosine, ADAPTED_DEPTH, axis=1)[:, ADAPTED_DEPTH:]
            np.put_along_axis(likeness, far, -9, 1)
        likeness[itself] = -10
        there = same.sum(1)
        best = [_hits(scores, same, k) for scores in (cosine, likeness)]
        fine = there > 0
        values.append((np.stack(best, 1) / np.minimum(k, np.maximum(there, 1))[:, None])[fine])
        units.append(first_group[block][fine] if by_group else block[fine])
    return _Measured(np.concatenate(values), np.concatenate(units))


def _hits(scores: Float32, same: Bool, k: int) -> Int64:
    """(q,) how many of the first k are of the query's groups."""
    k = min(k, scores.shape[1])
    first = np.argsort(-scores, axis=1, kind="stable")[:, :k] if k > 40 else _first(scores, k)
    return np.asarray(np.take_along_axis(same, first, 1).sum(1), np.int64)


def _first(scores: Float32, k: int) -> Int64:
    return np.asarray(np.argpartition(-scores, k - 1, axis=1)[:, :k], np.int64)


def _interval(
    values: NDArray[np.float64], unit: Int64, rng: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    """The mean of (n,) paired differences and its 95 % bootstrap interval; whole units are drawn."""
    _, code = np.unique(unit, return_inverse=True)
    sums, counts = np.bincount(code, values), np.bincount(code).astype(np.float64)
    drawn = rng.integers(0, len(sums), (DRAWS, len(sums)), dtype=np.int32) if len(sums) <= 5000 else None
    if drawn is None:  # many units: the normal interval is as good
        mean = float(values.mean())
        spread = float(np.std((sums - mean * counts), ddof=1) * np.sqrt(len(sums)) / counts.sum())
        return mean, (mean - 1.96 * spread, mean + 1.96 * spread)
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(values.mean()), (float(low), float(high))
