"""Where promoted pins may stand, how many, and how relevant they must be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from visualsearch.errors import UsageError

from .auction import PRICING


@dataclass(frozen=True)
class Surface:
    """One kind of page.

    `slots`: the places that promoted pins may take, as shares of the page's other pins that stand before them; 1 is the end.
    A place near the end costs the other pins few looks. `share`: the most of a page that is promoted.
    `floor`: the least cosine of a promoted pin with a picture of the page, `words` with a query of words. `near`: of the score
    of the page's last pin, a promoted pin must reach so much.
    """

    slots: tuple[float, ...]
    share: float
    floor: float = 0.5
    words: float = 0.15
    near: float = 0.9


SURFACES: Mapping[str, Surface] = MappingProxyType(
    {
        "search": Surface((0.85, 1.0), 0.2),
        "related": Surface((0.85, 1.0), 0.2),
        "feed": Surface((0.85, 1.0), 0.15, floor=0.55),
    }
)


@dataclass(frozen=True)
class Rules:
    """How promoted pins are chosen. `pricing`: gsp or vcg.

    `category`: the attribute that says what a pin shows; a promoted pin's must be one of the page's. `reserve`: the least price
    of an event, in minor units. `fresh`: a campaign shown less often is new; `explore`: the share of pages whose last slot
    goes to one. `ahead`: of a day's budget, so much may be spent before its time.
    """

    surfaces: Mapping[str, Surface] = field(default_factory=lambda: SURFACES)
    pricing: str = "gsp"
    category: str = "category"
    reserve: int = 1
    fresh: int = 200
    explore: float = 0.05
    ahead: float = 0.05

    def __post_init__(self) -> None:
        if self.pricing not in PRICING:
            raise UsageError(
                f"{self.pricing!r} is no pricing", "it is not known", f"Known: {', '.join(PRICING)}"
            )
        for name, surface in self.surfaces.items():
            if (
                not 0 <= surface.share <= 0.5
                or min(surface.slots, default=0) < 0
                or max(surface.slots, default=1) > 1
                or list(surface.slots) != sorted(surface.slots)
            ):
                raise UsageError(
                    f"cannot promote on {name!r}",
                    "its share or slots make no sense",
                    "Give a share of at most 0.5",
                )


def room(surface: Surface, organic: int) -> tuple[int, ...]:
    """The places of promoted pins in a finished page with so many others, from 0: as many as the share allows."""
    found: list[int] = []
    for slot in surface.slots:
        if len(found) + 1 > surface.share * (organic + len(found) + 1) + 1e-9:
            break
        found.append(math.ceil(slot * organic - 1e-9) + len(found))
    return tuple(found)
