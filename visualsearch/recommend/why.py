"""Sentences for reasons. A sentence says nothing that its evidence does not hold, and nothing about a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from visualsearch.types import Evidence, Reason

TOGETHER, NEAR, LOOK_ALIKE, SIGHT = "together", "near", "look-alike", "sight"
"""Kinds of reasons. `together`: boards hold both pins. `near`: boards near those of the asked pin hold it. `look-alike`: a pin
that looks alike stands between. `sight`: it looks like the asked pin."""
LONGEST_TITLE = 60
MANY = 50
"""More boards than that are not counted out."""


def quoted(title: str) -> str:
    """A title in quotes, cut where it is long."""
    text = " ".join(title.split())
    return f'"{text if len(text) <= LONGEST_TITLE else text[: LONGEST_TITLE - 1] + "…"}"'


def more(count: int, one: str, many: str) -> str:
    """` and 1 more board`, ` and 3 more boards`, or nothing for none."""
    if count > MANY:
        return f" and many more {many}"
    return f" and {count:,} more {one if count == 1 else many}" if count > 0 else ""


def on_boards(boards: Sequence[Evidence], titles: Mapping[str, str], count: int = 0) -> str:
    """`"Kitchen" and 3 more boards`: the weightiest board is the first; `count` is how many there are in all."""
    first = quoted(titles.get(boards[0].id, boards[0].id))
    return first + more(max(count, len(boards)) - 1, "board", "boards")


def by_sight(pin: str, cosine: float) -> Reason:
    """It looks like the asked pin."""
    return Reason(SIGHT, f"Looks alike (cosine {cosine:.2f})", (Evidence("pin", pin, cosine),))
