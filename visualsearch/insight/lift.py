"""What pins caused: revenue of people who could see a shop's pins against people who were held out, drawn by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import stats

from visualsearch.types import Float64, Int64

FEWEST_BUYERS = 10
CONFIDENCE = 0.95


class Holdout(Protocol):
    """Two groups of persons, drawn by chance, and the time in which nobody changed group: see `Experiments.held_out`."""

    @property
    def label(self) -> str:
        """What drew the groups."""
        ...

    @property
    def held(self) -> Int64:
        """Numbers of persons who were held out."""
        ...

    @property
    def treated(self) -> Int64:
        """Numbers of persons who could see the pins."""
        ...

    @property
    def since(self) -> int:
        """When the groups were settled, in milliseconds."""
        ...

    @property
    def until(self) -> int | None:
        """When they ended, in milliseconds; None: they stand."""
        ...


@dataclass(frozen=True)
class Lift:
    """Caused revenue in all, with its interval. None where too few bought to tell.

    `treated` and `held_out` count people. `last_touch` is what the last-touch model claims of the treated, `bias` by how much it
    is above. `by` names the experiment that held people out; empty where they were listed.
    """

    treated: int
    held_out: int
    caused: float | None
    low: float | None
    high: float | None
    last_touch: float | None
    by: str = ""
    assumes: str = "People were held out by chance, and stayed out. Buying for others, or on another device, hides some of it."

    @property
    def bias(self) -> float | None:
        """The last-touch claim over the caused revenue; None where it is not sure that anything was caused."""
        if self.caused is None or self.low is None or self.last_touch is None or self.low <= 0:
            return None
        return self.last_touch / self.caused


def incremental(
    treated: Float64,
    held_out: Float64,
    treated_before: Float64 | None = None,
    held_before: Float64 | None = None,
    last_touch: float | None = None,
    fewest: int = FEWEST_BUYERS,
) -> Lift:
    """The revenue that the pins caused among the treated, from revenue per person of both groups, zeros included.

    `before` is each person's revenue before the campaign; where it is given it takes out what differed already (CUPED,
    Deng et al. 2013). The interval is Welch's, of the mean difference.
    """
    n, m = len(treated), len(held_out)
    nothing = Lift(n, m, None, None, None, last_touch)
    if min(n, m) < 2 or np.count_nonzero(treated) < fewest or np.count_nonzero(held_out) < fewest:
        return nothing
    one, other = _adjusted(treated, held_out, treated_before, held_before)
    spread_one, spread_other = one.var(ddof=1) / n, other.var(ddof=1) / m
    error = float(np.sqrt(spread_one + spread_other))
    difference = float(one.mean() - other.mean())
    if error == 0:
        return nothing
    freedom = (spread_one + spread_other) ** 2 / (spread_one**2 / (n - 1) + spread_other**2 / (m - 1))
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * error
    return Lift(n, m, n * difference, n * (difference - reach), n * (difference + reach), last_touch)


def _adjusted(
    treated: Float64, held_out: Float64, treated_before: Float64 | None, held_before: Float64 | None
) -> tuple[Float64, Float64]:
    if treated_before is None or held_before is None:
        return treated, held_out
    before = np.concatenate([treated_before, held_before])
    if before.std() == 0:
        return treated, held_out
    # Within the groups, so that the effect itself does not bend the slope.
    covered = np.concatenate([treated_before - treated_before.mean(), held_before - held_before.mean()])
    said = np.concatenate([treated - treated.mean(), held_out - held_out.mean()])
    slope = float((covered * said).sum() / max((covered**2).sum(), 1e-12))
    return treated - slope * (treated_before - before.mean()), held_out - slope * (
        held_before - before.mean()
    )
