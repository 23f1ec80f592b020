"""New pins that a feed may try on somebody, and the cursor of a page that was changed after it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from visualsearch.types import WHOLE, Evidence, Hit, Reason

from . import cursor as cursors
from .asking import RelatedIndex, doubted_of, numbers_of
from .feed import MOST_SEEN
from .feed_reasons import FRESH
from .ideas import stored
from .interests import interests_of
from .sensitive import allowed, topics_of
from .shelf import shelf_of


def new_pins(index: RelatedIndex, person: str, cursor: str | None) -> list[str]:
    """Ids of pins that came in these days and that a feed may show a person now: nothing known, hidden, sensitive or shown."""
    now = index.people.now()
    fresh = shelf_of(index, now).fresh
    mine = interests_of(index, person, now)
    if not fresh or mine is None:
        return []
    kept = doubted_of(index) | mine.without
    names = [name for name in fresh if name not in kept and mine.seen.get(name, 0) < MOST_SEEN]
    behind = cursors.shown(cursors.read(cursor))
    numbers = allowed(index, topics_of(index.folder), names)
    return [name for name, number in numbers.items() if number not in behind]


def new_hits(index: RelatedIndex, names: Sequence[str]) -> list[Hit]:
    """The hits of new pins, each with its reason; pins that left the index are left out."""
    pins = stored(index, names)
    fresh = shelf_of(index, index.people.now()).fresh
    return [_hit(pins[name], fresh.get(name, 0.0)) for name in names if name in pins]


def _hit(pin: Any, worth: float) -> Hit:
    why = Reason(FRESH, "New in this collection", (Evidence("pin", pin.id, worth),))
    return Hit(pin.id, pin.uri, 0.0, WHOLE, pin.attributes, {"fresh": round(worth, 6)}, round(worth, 6), why)


def cursor_after(index: RelatedIndex, cursor: str | None, names: Sequence[str]) -> str:
    """The cursor of the page after one that shows these pins."""
    return cursors.written([*cursors.read(cursor), list(numbers_of(index, names).values())])
