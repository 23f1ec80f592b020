"""Which touches are credited with what was bought, by several models side by side. Each assumes something, and none proves it.

Channels are the surfaces on which a touch happened. All arrays are over touches (t,) and purchases (p,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from visualsearch.types import Float64, Int64

WINDOW_DAYS = 30
HALF_LIFE_DAYS = 7.0
FIRST_LAST = 0.4
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Journeys:
    """Touches before purchases. `purchase` (j,) and `touch` (j,) pair each purchase with each touch before it, oldest first.

    `rank` (j,) counts a purchase's touches from 0 on, `length` (j,) how many it has, `age` (j,) is in days.
    """

    purchase: Int64
    touch: Int64
    rank: Int64
    length: Int64
    age: Float64


def journeys(
    person: Int64, at: Int64, buyer: Int64, bought: Int64, window_days: float = WINDOW_DAYS
) -> Journeys:
    """Pairs of purchases and the touches of the same person within the window before. Touches are sorted by person and time."""
    window = int(window_days * DAY_MS)
    low = _before(person, at, buyer, bought - window)
    high = _before(person, at, buyer, bought + 1)
    length = high - low
    purchase = np.repeat(np.arange(len(buyer)), length)
    start = np.cumsum(length) - length
    rank = np.arange(len(purchase)) - start[purchase]
    touch = low[purchase] + rank
    age = (bought[purchase] - at[touch]) / DAY_MS
    return Journeys(purchase, touch, rank, length[purchase], age)


def _before(person: Int64, at: Int64, who: Int64, when: Int64) -> Int64:
    """How many sorted touches come before (who, when)."""
    order = np.lexsort((np.concatenate([at, when]), np.concatenate([person, who])))
    # Ties: a touch at that very time is not before it, so asked pairs must sort first.
    is_touch = np.concatenate([np.ones(len(at), np.int64), np.zeros(len(when), np.int64)])
    order = np.lexsort((is_touch, np.concatenate([at, when]), np.concatenate([person, who])))
    passed = np.cumsum(is_touch[order]) - is_touch[order]
    out = np.empty(len(order), np.int64)
    out[order] = passed
    return out[len(at) :]


def last_touch(held: Journeys) -> Float64:
    """All to the newest touch."""
    made: Float64 = (held.rank == held.length - 1).astype(float)
    return made


def time_decay(held: Journeys) -> Float64:
    """By 2^(-age / 7 days)."""
    return _shared(held, np.exp2(-held.age / HALF_LIFE_DAYS))


def position_based(held: Journeys) -> Float64:
    """40 % each to the first and the last, the rest evenly to those between."""
    ends = (held.rank == 0).astype(float) * FIRST_LAST + (held.rank == held.length - 1) * FIRST_LAST
    inner = (held.rank > 0) & (held.rank < held.length - 1)
    return _shared(held, ends + inner * (1 - 2 * FIRST_LAST) / np.maximum(held.length - 2, 1))


def _shared(held: Journeys, weight: Float64) -> Float64:
    total = np.bincount(held.purchase, weights=weight) if len(weight) else np.zeros(0)
    made: Float64 = weight / np.maximum(total[held.purchase], 1e-300) if len(weight) else weight
    return made


MODELS: Mapping[str, Callable[[Journeys], Float64]] = {
    "last touch": last_touch,
    "time decay": time_decay,
    "position": position_based,
}
ASSUMES = {
    "last touch": "Whatever came last made the sale. It credits pins for sales that would have happened anyway.",
    "time decay": "What is recent counts more; it halves every 7 days. It also credits what would have been bought anyway.",
    "position": "The first and the last touch made 40 % each. The numbers are a convention, nothing is measured.",
    "removal": "A channel is worth the share of sales that would be lost if journeys ended there (a Markov chain fitted to all"
    " journeys, sold or not). It takes order into account, and still cannot tell cause from habit.",
}


def credited(held: Journeys, channel: Int64, channels: int, value: Float64) -> dict[str, Float64]:
    """Model -> (channels,) credited value. `channel` (t,) is a touch's, `value` (p,) a purchase's; refunds are negative."""
    out = {}
    for name, model in MODELS.items():
        weight = model(held) * value[held.purchase]
        summed = np.bincount(channel[held.touch], weights=weight, minlength=channels)
        out[name] = summed.astype(np.float64)
    return out


def removal(person: Int64, channel: Int64, channels: int, sold: Int64, total: float) -> Float64:
    """(channels,) shares of `total` by removal effects in a first-order Markov chain (Anderl et al. 2016).

    Each person's touches, sorted by time, are a journey; `sold` (t,) is 1 on the touch after which a purchase followed.
    """
    start, end, lost = channels, channels + 1, channels + 2
    if not len(person) or not sold.any():
        return np.zeros(channels)
    first = np.ones(len(person), bool)
    first[1:] = (person[1:] != person[:-1]) | (sold[:-1] > 0)
    last = np.append(first[1:], True)
    counts = np.zeros((channels + 3, channels + 3))
    np.add.at(counts, (np.full(int(first.sum()), start), channel[first]), 1)
    inner = np.flatnonzero(~last)
    np.add.at(counts, (channel[inner], channel[inner + 1]), 1)
    ends = np.flatnonzero(last)
    np.add.at(counts, (channel[ends], np.where(sold[ends] > 0, end, lost)), 1)
    whole = _reaches(counts, channels)
    effects = np.zeros(channels)
    for number in range(channels):
        without = counts.copy()
        without[:, lost] += without[:, number]  # who would come there is lost
        without[:, number] = 0
        without[number] = 0
        effects[number] = max(0.0, 1 - _reaches(without, channels) / max(whole, 1e-12))
    summed = effects.sum()
    made: Float64 = total * effects / summed if summed > 0 else np.zeros(channels)
    return made


def _reaches(counts: Float64, channels: int) -> float:
    """The chance that a journey ends in a sale."""
    rows = counts.sum(1, keepdims=True)
    chance = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    states = channels + 1
    inner, sold = chance[:states, :states], chance[:states, channels + 1]
    found = np.linalg.lstsq(np.eye(states) - inner, sold, rcond=None)[0]
    return float(found[channels])
