"""Rankers by name, as `--rank` and the HTTP parameter `rank` take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from visualsearch.errors import UnknownNameError, UsageError

from .base import BY_COSINE, Ranker
from .by_attribute import ByAttribute
from .diversity import SOURCE, Capped, Varied
from .signals import Weighted

RANKERS: Mapping[str, Ranker] = {
    "cosine": BY_COSINE,
    "fresh": Weighted({"cosine": 1.0, "freshness": 0.1}),
    "varied": Varied(),
}
"""Ready ones."""
EXAMPLE = "Example: cosine=1,freshness=0.1"


def _sorted_by(name: str) -> Ranker:
    return ByAttribute(name.removeprefix("-"), name.startswith("-"))


def _per(text: str) -> Ranker:
    most, _, by = text.partition(":")
    if not most.isdecimal() or len(most) > 9:
        raise UsageError(f"cannot read the cap {most!r}", "it is no whole number", "Example: cap:2:brand")
    return Capped(int(most), by or SOURCE)


MADE: Mapping[str, Callable[[str], Ranker]] = {"sort": _sorted_by, "cap": _per}
"""By what stands before the colon: `sort:price`, `sort:-price`, `cap:2:brand`, `cap:3` (of one source)."""
KNOWN = (*RANKERS, "sort:ATTRIBUTE", "sort:-ATTRIBUTE", "cap:N:ATTRIBUTE", "SIGNAL=WEIGHT,SIGNAL=WEIGHT")


def ranker_of(given: Ranker | str, diversity: float = 0.0) -> Ranker:
    """The ranker of a name, or the ranker itself; with `diversity`, its order made more varied.

    A name is one of RANKERS, `sort:ATTRIBUTE` (`sort:-ATTRIBUTE` from high to low), `cap:N:ATTRIBUTE` (at most N of one value
    first), or signals and weights, `cosine=1,freshness=0.1`. Raises UnknownNameError, UsageError.
    """
    found = _named(given) if isinstance(given, str) else given
    if not isinstance(found, Ranker):
        raise UsageError(
            "cannot rank",
            f"a {type(found).__name__} is no ranker: it has no `rank`",
            "See visualsearch.ranking.Ranker",
        )
    varied = Varied(diversity, found)  # says what is wrong with it
    return varied if diversity else found


def _named(text: str) -> Ranker:
    if text in RANKERS:
        return RANKERS[text]
    kind, colon, rest = text.partition(":")
    if colon and rest and kind in MADE:
        return MADE[kind](rest)
    if "=" in text:
        return Weighted(_weights(text))
    raise UnknownNameError("ranker", text, KNOWN, f"Known: {', '.join(KNOWN)}")


def _weights(text: str) -> dict[str, float]:
    weights = {}
    for item in text.split(","):
        name, _, value = item.rpartition("=")
        try:
            weights[name.strip()] = float(value)
        except ValueError:
            raise UsageError(f"cannot read the weight {item!r}", "it is no number", EXAMPLE) from None
    return weights
