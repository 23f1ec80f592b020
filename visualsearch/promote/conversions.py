"""What was bought after a promoted pin: kept once for an order, and as a purchase of the person where they allow it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from visualsearch.errors import UsageError
from visualsearch.people import Event

from . import money

if TYPE_CHECKING:
    from visualsearch.engine import Index


def convert(index: Index, placement: str, event: str, value: float, currency: str) -> bool:
    """Count an order: whether it is new. `placement` is that of the promoted pin, `event` the order's number.

    The purchase is stored among the person's events too, so that it can be attributed; consent counts as for any event.
    Raises UsageError, UnknownNameError.
    """
    if not math.isfinite(value) or not 0 <= value <= money.MOST:
        raise UsageError(f"the value {value} makes no sense", "it is no amount", "Give what was paid")
    if not event.strip() or not event.isprintable():
        raise UsageError("the order has no number", "it says which orders are the same", "Give `event`")
    code = money.currency_of(currency)
    people = index.people
    new, person = people.converted(placement, f"{placement} {event}", value, code)
    place = people.placement(placement)
    if person is not None and place is not None:
        # Its id is derived: a call that was cut short between the two is simply made again.
        name = f"bought:{placement}:{event}"[:200]
        bought = Event(
            "purchase", person, place["pin_id"], event_id=name, surface=place["surface"],
            variant=f"promoted:{placement}", value=value, currency=code,
        )  # fmt: skip
        people.record([bought])
    return new
