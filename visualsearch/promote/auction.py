"""Who gets the slots, and at what price: generalised second price, or Vickrey-Clarke-Groves.

Slot `j` is seen `seen[j]` times as often as the first one (Varian 2007, "Position auctions"; Edelman et al. 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from visualsearch.errors import UnknownNameError
from visualsearch.types import Float64, Int64

Pricing = Callable[[Float64, Float64], Float64]


class Outcome(NamedTuple):
    """`order` (s,) int64: who stands in each slot; `price` (s,) int64: minor units for one event there."""

    order: Int64
    price: Int64


def gsp(scores: Float64, seen: Float64) -> Float64:
    """What the one in each slot must score to keep it: the score behind it. `scores` (n,) falls, `seen` (s,); gives (s,)."""
    return np.append(scores[1:], 0.0)[: len(seen)]


def vcg(scores: Float64, seen: Float64) -> Float64:
    """What the one in each slot takes from the others, for one look at the first slot: by how much the others would move up."""
    n = min(len(scores), len(seen))
    behind = np.append(scores[1:], 0.0)[:n]
    loss = seen[:n] - np.append(seen[1:n], 0.0)
    total: Float64 = np.cumsum((loss * behind)[::-1])[::-1]
    return total / seen[:n]


PRICING: Mapping[str, Pricing] = {"gsp": gsp, "vcg": vcg}


def auction(
    bids: Int64,
    rates: Float64,
    quality: Float64,
    seen: Float64,
    reserve: Int64 | int = 1,
    pricing: str = "gsp",
) -> Outcome:
    """Give the slots to the highest bid x rate x quality.

    `bids` (n,) int64 minor units for an event, `rates` (n,) its probability in the first slot, `quality` (n,) above 0;
    `seen` (s,) falls from slot to slot. A price is rounded up, is at least
    `reserve` and never above the bid. Ties go to the first given. Bids below the reserve take no part. Raises UnknownNameError.
    """
    if pricing not in PRICING:
        raise UnknownNameError("pricing", pricing[:40], PRICING)
    least = np.broadcast_to(np.asarray(reserve, np.int64), bids.shape)
    worth = rates * quality
    live = np.flatnonzero((bids >= least) & (worth > 0))
    order = live[np.argsort(-(bids[live] * worth[live]), kind="stable")]
    taken = order[: len(seen)]
    if not len(taken):
        return Outcome(taken, np.zeros(0, np.int64))
    asked = PRICING[pricing](bids[order] * worth[order], seen)[: len(taken)]
    # The rounding of a quotient must not cost a whole unit.
    price = np.ceil(asked / worth[taken] - 1e-9).astype(np.int64)
    return Outcome(taken, np.minimum(np.maximum(price, least[taken]), bids[taken]))
