"""Boards like a board, and boards of people with a person's taste: by the pins they share and by pins that look alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visualsearch.errors import UsageError
from visualsearch.types import Evidence, Reason

from .asking import RelatedIndex
from .ideas import MOST_K, Names, asked_for
from .looks import looks_of
from .why import more

if TYPE_CHECKING:
    from visualsearch.people import Board

ALIKES = 100
"""Look-alikes of the board that also count."""
WORTH = 0.5
SHARP = 4.0
NAMED = 3


@dataclass(frozen=True)
class BoardHit:
    """A public board, how like it is (0..1), and why."""

    board: Board
    score: float
    why: Reason


def boards_like(
    gallery: RelatedIndex, board: str | None = None, k: int = 20, *, person: str | None = None
) -> list[BoardHit]:
    """See `Index.boards_like`."""
    if not 1 <= k <= MOST_K:
        raise UsageError(f"k: {k:,} asked for", f"1 to {MOST_K:,} are taken", "Ask for less")
    asked = asked_for(gallery, board, person, None)
    if not asked.pins:
        return []
    pins = dict.fromkeys(asked.pins, 1.0)
    looks = looks_of(gallery, asked.pins)
    for hits in gallery.nearest(looks.vectors, k=ALIKES, details=False):
        for hit in hits:
            if hit.id not in asked.without:
                worth = WORTH * max(hit.score, 0.0) ** SHARP
                pins[hit.id] = max(pins.get(hit.id, 0.0), worth)
    people = gallery.people
    own = [] if board is None else [people.board(board, viewer=person).id]
    found = people.boards_holding(pins, without=own, owner=person if board is None else None, k=k)
    names = Names(gallery, [pin for _, _, shared in found for pin in shared])
    mine = set(asked.pins)
    return [BoardHit(each, min(score, 1.0), _why(shared, pins, mine, names)) for each, score, shared in found]


def _why(shared: Sequence[str], pins: dict[str, float], mine: set[str], names: Names) -> Reason:
    ordered = sorted(shared, key=lambda pin: (-pins[pin], pin))
    evidence = tuple(Evidence("pin", pin, pins[pin]) for pin in ordered[:NAMED])
    both = sum(pin in mine for pin in shared)
    count = (both or len(shared)) - 1
    holds = "Holds" if both else "Holds what looks like yours:"
    return Reason(
        "shared" if both else "look-alike",
        f"{holds} {names.of(ordered[0])}{more(count, 'pin', 'pins')}",
        evidence,
    )
