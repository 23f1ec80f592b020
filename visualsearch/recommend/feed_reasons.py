"""Why the pins of a feed are there: the source that weighed most, with the evidence that anyone can compute again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from visualsearch.types import Evidence, Float32, Reason

from .asking import RelatedIndex
from .ideas import Names, carriers
from .interests import Interests
from .items import Items
from .mixing import Signals
from .sources import Pool
from .why import NEAR, TOGETHER, quoted

NAMED = 3
WALK = "walk"
INTEREST, FOLLOW, POPULAR, FRESH, OTHER = "interest", "follow", "popular", "fresh", "other"
"""Kinds of reasons beside those of `why`. `interest`: it looks like saved pins. `follow`: somebody or something that is followed
has it. `popular`: many public boards hold it. `fresh`: it is new here. `other`: a sample of another part of the collection."""


@dataclass(frozen=True)
class Why:
    """What reasons are made from; `names`, `signals` and `vectors` are those of the candidates."""

    pool: Pool
    mine: Interests
    names: Sequence[str]
    signals: Signals
    vectors: Float32
    items: Items | None
    now: int

    def cosine(self, at: int) -> float:
        """The cosine to the nearest pin behind the interests; 0 where there is none."""
        return float((self.mine.vectors @ self.vectors[at]).max()) if len(self.mine.pins) else 0.0

    def alike(self, at: int) -> tuple[Evidence, ...]:
        """The pins of the interest that it fits, the most alike first, with their cosines."""
        item = self.mine.items[int(self.signals.group[at])]
        place = {name: number for number, name in enumerate(self.mine.pins)}
        own = [place[each.id] for each in item.evidence if each.id != self.names[at]]
        own = own or [place[each.id] for each in item.evidence]
        cosines = self.mine.vectors[own] @ self.vectors[at]
        order = np.argsort(-cosines, kind="stable")[:NAMED]
        return tuple(Evidence("pin", self.mine.pins[own[i]], float(cosines[i])) for i in order.tolist())


def reasons_for(
    index: RelatedIndex, why: Why, chosen: Sequence[int], parts: Mapping[str, Float32]
) -> list[Reason | None]:
    """A reason for each chosen candidate. `parts`: what each source added to its score, in the order of `chosen`.

    None: the walk brought it, and no board explains that any more.
    """
    carried = carriers(why.items, why.mine.pins, [why.names[at] for at in chosen])
    kinds = [
        _kind(why, at, {name: float(values[row]) for name, values in parts.items()}, carried)
        for row, at in enumerate(chosen)
    ]
    walked = [why.names[at] for at, kind in zip(chosen, kinds, strict=True) if kind == WALK]
    told = _walked(index, why, walked)
    shown: dict[int, tuple[Evidence, ...]] = {}
    for at, kind in zip(chosen, kinds, strict=True):
        if kind == INTEREST:
            shown[at] = why.alike(at)
        elif kind == TOGETHER:
            shown[at] = tuple(carried[why.names[at]])
    ids = [each.id for evidence in shown.values() for each in evidence[:1]]
    names = Names(index, ids)
    own = sorted(set(why.mine.boards.values())) if ids else []
    boards = index.people.board_titles(own) if own else {}
    pairs = [
        (shown[at][0].id, why.names[at]) for at, kind in zip(chosen, kinds, strict=True) if kind == TOGETHER
    ]
    both = index.people.saved_together(pairs) if pairs else set()
    return [
        told.get(why.names[at])
        if kind == WALK
        else _reason(why, at, kind, shown.get(at, ()), names, boards, both)
        for at, kind in zip(chosen, kinds, strict=True)
    ]


def _walked(index: RelatedIndex, why: Why, names: Sequence[str]) -> dict[str, Reason]:
    visited = why.pool.visited
    return {} if visited is None or not names else visited.reasons(index, names, why.mine.muted)


def _kind(why: Why, at: int, parts: Mapping[str, float], carried: Mapping[str, Sequence[Evidence]]) -> str:
    """The source that added most, of those that have evidence."""
    name = why.names[at]
    worth = {
        INTEREST: parts["interest"] if int(why.signals.group[at]) >= 0 else 0.0,
        TOGETHER: parts["together"] if carried.get(name) else 0.0,
        WALK: parts["walk"],
        FOLLOW: parts["follow"],
        POPULAR: parts["popular"],
        FRESH: parts["fresh"],
    }
    # What only fits an interest as badly as most do is shown for another reason.
    if name not in why.pool.near and worth[INTEREST]:
        worth[INTEREST] = worth[INTEREST] / 4
    best = max(worth, key=lambda kind: worth[kind])
    return best if worth[best] > 0 else OTHER


def _reason(
    why: Why,
    at: int,
    kind: str,
    evidence: tuple[Evidence, ...],
    names: Names,
    boards: Mapping[str, str],
    both: set[tuple[str, str]],
) -> Reason:
    name = why.names[at]
    if kind == INTEREST:
        first = evidence[0]
        board = boards.get(why.mine.boards.get(first.id, ""))
        place = f" on {quoted(board)}" if board else ""
        return Reason(
            INTEREST, f"Looks like {names.of(first.id)}{place} (cosine {first.weight:.2f})", evidence
        )
    if kind == TOGETHER:
        if (evidence[0].id, name) in both:
            return Reason(TOGETHER, f"Saved together with {names.of(evidence[0].id)}", evidence)
        return Reason(NEAR, f"Saved to boards like those that hold {names.of(evidence[0].id)}", evidence)
    if kind == FOLLOW:
        worth, save = why.pool.follow[name]
        what = {"person": "by somebody followed", "board": "a followed board", "topic": "a followed topic"}[
            save.kind
        ]
        held = (Evidence("follow", save.target, worth), Evidence("board", save.board, worth))
        return Reason(FOLLOW, f"New on {quoted(save.title)}, {what}", held)
    if kind == POPULAR:
        count = why.pool.popular[name]
        sentence = f"Saved on {count:,} public board{'' if count == 1 else 's'}"
        return Reason(POPULAR, sentence, (Evidence("pin", name, float(count)),))
    if kind == FRESH:
        return Reason(FRESH, "New in this collection", (Evidence("pin", name, why.pool.fresh[name]),))
    return Reason(OTHER, "From another part of this collection", (Evidence("pin", name, 1.0),))
