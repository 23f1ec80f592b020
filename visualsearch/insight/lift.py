"""What pins caused: revenue of people who could see a shop's pins against people who were held out, drawn by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from visualsearch.types import Float64

FEWEST_BUYERS = 10
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Lift:
    """Caused revenue in all, with its interval. None where too few bought to tell.

    `treated` and `held_out` count people. `last_touch` is what the last-touch model claims, `bias` by how much it is above.
    """

    treated: int
    held_out: int
    caused: float | None
    low: float | None
    high: float | None
    last_touch: float | None
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
