"""Who a shop reaches, as groups: chains of saves, boards, what stands beside its pins, and kinds of people. Never a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.types import Bool, Int64

from .clusters import Collection

if TYPE_CHECKING:
    from visualsearch.people import Counted, People, SaveColumns

STEPS = (0, 1, 2, 3, 5, 10, 20, 50, 100, 1000)
"""Bounds of the parts of a distribution."""
MOST_PERSONAS = 8
LOOKS = 5


@dataclass(frozen=True)
class Audience:
    """Saves that count, of everybody, and which are of the shop's pins. `person` are places among the counted, -1 for others."""

    saves: SaveColumns = field(repr=False)
    person: Int64 = field(repr=False)
    own: Bool = field(repr=False)
    recent: Bool = field(repr=False)
    savers: dict[str, int] = field(repr=False)
    saved_ever: set[str] = field(repr=False)


def audience(saves: SaveColumns, who: Counted, pins: Sequence[str], since: int) -> Audience:
    """The saves with what belongs to a shop's pins; `since` begins the report's weeks."""
    mine = set(pins)
    person = who.places(saves.person)
    own = np.array([name in mine for name in saves.pin], bool) & (person >= 0)
    recent = saves.at >= since
    names = {name: at for at, name in enumerate(dict.fromkeys(saves.pin))}
    codes = np.array([names[name] for name in saves.pin], np.int64)
    kept = person >= 0
    pairs = np.unique(codes[kept] * (len(who) + 1) + person[kept])
    counts = np.bincount(pairs // (len(who) + 1), minlength=len(names))
    listed = list(names)
    return Audience(
        saves,
        person,
        own,
        recent,
        {listed[at]: int(count) for at, count in enumerate(counts.tolist()) if count},
        {name for name, held in zip(saves.pin, own.tolist(), strict=True) if held},
    )


def _descent(seen: Audience) -> tuple[Int64, Int64]:
    """(n,) how deep each save stands in its chain, and how many saves came from it, its own not counted."""
    saves = seen.saves
    n = len(saves)
    depth, below = np.zeros(n, np.int64), np.zeros(n, np.int64)
    if not n:
        return depth, below
    at = np.searchsorted(saves.save, saves.source).clip(max=n - 1)
    parent = np.where((saves.source >= 0) & (saves.save[at] == saves.source), at, -1)
    order = np.argsort(saves.save)
    parent[parent >= np.arange(n)] = -1  # what was taken from a later save: a clock or an import; no chain
    for row in order.tolist():
        if parent[row] >= 0:
            depth[row] = depth[parent[row]] + 1
    for row in order[::-1].tolist():
        if parent[row] >= 0:
            below[parent[row]] += below[row] + 1
    return depth, below


def chains(seen: Audience, fewest: int) -> list[dict[str, Any]]:
    """How deep saves of the shop's pins stand in chains of repins, as a distribution over saves."""
    depth, _ = _descent(seen)
    which = seen.own & seen.recent
    return _distribution(depth[which], seen.person[which], fewest)


def reach(seen: Audience, fewest: int) -> list[dict[str, Any]]:
    """How many saves came from each saver's saves of the shop's pins, as a distribution over savers."""
    _, below = _descent(seen)
    which = seen.own & seen.recent
    person, place = np.unique(seen.person[which], return_inverse=True)
    total = np.bincount(place, weights=below[which], minlength=len(person)).astype(np.int64)
    return _distribution(total, person, fewest)


def _distribution(values: Int64, person: Int64, fewest: int) -> list[dict[str, Any]]:
    """Parts from..to with how many; a part with too few people joins the one below it, and all of too few is nothing."""
    found: list[dict[str, Any]] = []
    bounds = [*STEPS, 1 << 62]
    for low, high in pairwise(bounds):
        which = (values >= low) & (values < high)
        if not which.any():
            continue
        row: dict[str, Any] = {
            "from": low,
            "to": high - 1,
            "count": int(which.sum()),
            "people": set(person[which].tolist()),
        }
        if found and len(row["people"]) < fewest:
            before = found[-1]
            before["to"], before["count"] = row["to"], before["count"] + row["count"]
            before["people"] |= row["people"]
        else:
            found.append(row)
    while len(found) > 1 and len(found[0]["people"]) < fewest:
        first = found.pop(0)
        found[0]["from"], found[0]["count"] = first["from"], found[0]["count"] + first["count"]
        found[0]["people"] |= first["people"]
    found = [row for row in found if len(row["people"]) >= fewest]
    last = int(values.max(initial=0))
    return [
        {
            "from": row["from"],
            "to": None if row["to"] >= STEPS[-1] or row["to"] > last else row["to"],
            "count": row["count"],
        }
        for row in found
    ]


def boards(seen: Audience, people: People, fewest: int, most: int = 20) -> list[dict[str, Any]]:
    """What the boards are called on which the pins stand: words that titles of enough people's boards share."""
    which = np.flatnonzero(seen.own & seen.recent)
    held = {seen.saves.board[row]: int(seen.person[row]) for row in which.tolist()}
    titles = people.board_titles(list(held))
    words: dict[str, set[int]] = {}
    for board, title in titles.items():
        for word in {w.strip(".,:;!?()\"'").casefold() for w in title.split()}:
            if len(word) > 2:
                words.setdefault(word, set()).add(held[board])
    kept = {word: len(who) for word, who in words.items() if len(who) >= fewest}
    return [{"word": word, "people": kept[word]} for word in sorted(kept, key=lambda w: (-kept[w], w))[:most]]


def beside(seen: Audience, fewest: int, most: int) -> list[dict[str, Any]]:
    """Pins of others that stand on the same boards as the shop's, by how many people put them there."""
    mine = {seen.saves.board[row] for row in np.flatnonzero(seen.own & seen.recent).tolist()}
    who: dict[str, set[int]] = {}
    for row, board in enumerate(seen.saves.board):
        if (
            board in mine
            and not seen.own[row]
            and seen.person[row] >= 0
            and seen.saves.pin[row] not in seen.saved_ever
        ):
            who.setdefault(seen.saves.pin[row], set()).add(int(seen.person[row]))
    kept = {pin: len(people) for pin, people in who.items() if len(people) >= fewest}
    return [{"pin": pin, "people": kept[pin]} for pin in sorted(kept, key=lambda p: (-kept[p], p))[:most]]


def personas(seen: Audience, looks: Collection, fewest: int) -> list[dict[str, Any]]:
    """Kinds of people among the savers, by what else they save: groups of at least twice `fewest`, and their looks.

    A look is told of where enough people of the group save it.
    """
    from scipy.cluster.vq import kmeans2

    savers = np.unique(seen.person[seen.own & seen.recent])
    if len(savers) < 2 * fewest:
        return []
    known = {name: at for at, name in enumerate(looks.ids)}
    pin = np.array([known.get(name, -1) for name in seen.saves.pin], np.int64)
    kept = np.isin(seen.person, savers) & (pin >= 0)
    row = np.searchsorted(savers, seen.person[kept])
    taste = np.zeros((len(savers), len(looks.clusters)))
    np.add.at(taste, (row, looks.cluster[pin[kept]]), 1.0)
    held = taste > 0
    taste = np.sqrt(taste / np.maximum(taste.sum(1, keepdims=True), 1))
    count = int(np.clip(len(savers) // (4 * fewest), 1, MOST_PERSONAS))
    _, owner = kmeans2(taste, count, iter=30, minit="++", seed=np.random.default_rng(0), missing="warn")
    sizes = Counter(owner.tolist())
    small = [number for number, size in sizes.items() if size < 2 * fewest]
    owner = np.where(np.isin(owner, small), -1, owner)
    if 0 < (owner == -1).sum() < 2 * fewest:  # too few to stand alone: they join the largest
        owner[owner == -1] = max((n for n in sizes if n not in small), key=lambda n: sizes[n], default=-1)
    usual = held.mean(0)
    found = []
    for number in np.unique(owner):
        mine = held[owner == number]
        people, share = mine.sum(0), mine.mean(0)
        gain = np.where(people >= fewest, share * np.log((share + 1e-9) / (usual + 1e-9) + 1), -1.0)
        best = [at for at in np.argsort(-gain, kind="stable")[:LOOKS].tolist() if gain[at] > 0]
        words = [looks.clusters.names[at] or f"look {looks.clusters.ids[at]}" for at in best]
        found.append(
            {"people": len(mine), "looks": words, "shares": [round(float(share[at]), 2) for at in best]}
        )
    return sorted(found, key=lambda each: -int(each["people"]))
