"""Sentences for reasons. A sentence says nothing that its evidence does not hold, and nothing about a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from visualsearch.types import Evidence, Reason

TOGETHER, NEAR, LOOK_ALIKE, SIGHT = "together", "near", "look-alike", "sight"
"""Kinds of reasons. `together`: boards hold both pins. `near`: boards that share pins with the asked pin's boards hold it.
`look-alike`: a pin that looks like it was saved so. `sight`: it looks like the asked pin."""
LONGEST_TITLE = 60


def quoted(title: str) -> str:
    """A title in quotes, cut where it is long."""
    text = " ".join(title.split())
    return f'"{text if len(text) <= LONGEST_TITLE else text[: LONGEST_TITLE - 1] + "…"}"'


def more(count: int, one: str, many: str) -> str:
    """` and 1 more board`, ` and 3 more boards`, or nothing for none."""
    return f" and {count:,} more {one if count == 1 else many}" if count > 0 else ""


def on_boards(kind: str, boards: Sequence[Evidence], titles: Mapping[str, str], count: int = 0) -> Reason:
    """A reason of kind TOGETHER or NEAR. `boards` are the weightiest first, `count` how many there are in all."""
    first = quoted(titles.get(boards[0].id, boards[0].id))
    rest = more(max(count, len(boards)) - 1, "board", "boards")
    begin = "Saved together on" if kind == TOGETHER else "Saved on boards that share pins with this one's:"
    return Reason(kind, f"{begin} {first}{rest}", tuple(boards))


def by_sight(pin: str, cosine: float) -> Reason:
    """It looks like the asked pin."""
    return Reason(SIGHT, f"Looks alike (cosine {cosine:.2f})", (Evidence("pin", pin, cosine),))
