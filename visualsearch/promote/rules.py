"""Where promoted pins may stand, how many, and how relevant they must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from visualsearch.errors import UsageError

from .auction import PRICING


@dataclass(frozen=True)
class Surface:
    """One kind of page.

    `slots`: places in the finished page, from 0, that promoted pins may take. `share`: the most of a page that is promoted.
    `floor`: the least cosine of a promoted pin with a picture of the page, `words` with a query of words. `near`: of the score
    of the page's last pin, a promoted pin must reach so much.
    """

    slots: tuple[int, ...]
    share: float
    floor: float = 0.5
    words: float = 0.15
    near: float = 0.9


SURFACES: Mapping[str, Surface] = MappingProxyType(
    {
        "search": Surface((2, 7, 13), 0.2),
        "related": Surface((3, 9, 16), 0.2),
        "feed": Surface((4, 12, 20), 0.15, floor=0.55),
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
            if not 0 <= surface.share <= 0.5 or list(surface.slots) != sorted(set(surface.slots)):
                raise UsageError(
                    f"cannot promote on {name!r}",
                    "its share or slots make no sense",
                    "Give a share of at most 0.5",
                )


def room(surface: Surface, organic: int) -> tuple[int, ...]:
    """The slots of a page with so many organic pins: those that lie within it, as many as the share allows."""
    found: list[int] = []
    for slot in surface.slots:
        within = slot <= organic + len(found)
        allowed = len(found) + 1 <= surface.share * (organic + len(found) + 1) + 1e-9
        if not within or not allowed:
            break
        found.append(slot)
    return tuple(found)
