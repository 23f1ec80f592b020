"""The boards that carried a walk to a pin, checked against the record of people as it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visualsearch.types import Evidence, Reason

from .view import View
from .walk import DEAD_BOARD, Visits
from .why import LOOK_ALIKE, MANY, NEAR, TOGETHER, on_boards

if TYPE_CHECKING:
    from visualsearch.people import People

SHOWN = 5
"""Boards that a reason lists."""
CHECKED = MANY + 2
"""Boards of a pin that are looked up."""


@dataclass(frozen=True)
class Carried:
    """What carried the walk to a pin: boards by the share of its visits that came through them, and how many there are."""

    kind: str
    boards: tuple[Evidence, ...]
    count: int
    titles: Mapping[str, str]
    alike: tuple[str, float] | None = None
    """The saved pin that stands for the asked one, and the cosine."""


@dataclass(frozen=True)
class Evidences:
    """What carried the walk to each node; and links and boards that were found to count no more, as a walk knows them."""

    carried: Mapping[int, Carried]
    dead: list[int]

    def reason(self, node: int, between: tuple[str, float] | None = None) -> Reason | None:
        """Why a node's pin is shown, or `between`, a pin that looks like it with their cosine, stands for it."""
        found = self.carried.get(node)
        if found is None:
            return None
        where = on_boards(found.boards, found.titles, found.count)
        pins = [Evidence("pin", *each) for each in (between, found.alike) if each is not None]
        if between is not None:
            how = "together with this one" if found.kind == TOGETHER else "near this one"
            sentence = f"Looks like a pin that was saved {how}: {where}"
        elif found.kind == LOOK_ALIKE:
            sentence = f"Saved together with a pin that looks like this one, on {where}"
        elif found.kind == TOGETHER:
            sentence = f"Saved together on {where}"
        else:
            sentence = f"Saved on boards that are close by: {where}"
        kind = found.kind if between is None else LOOK_ALIKE
        return Reason(kind, sentence, (*pins, *found.boards))


@dataclass(frozen=True)
class Trail:
    """What carried a walk, as nodes of its graph. `through`: for each pin the boards that its visitors came through, most
    first, with how many. `held`: for each start those of these boards that it is on. `names`: the boards' ids.
    """

    through: Mapping[int, Sequence[tuple[int, float]]]
    held: Mapping[int, frozenset[int]]
    names: Mapping[int, str]

    def to(self, nodes: Sequence[int]) -> Trail:
        """What led to those pins."""
        through = {node: self.through[node] for node in nodes if node in self.through}
        kept = {at for boards in through.values() for at, _ in boards}
        held = {node: mine & kept for node, mine in self.held.items()}
        return Trail(through, held, {at: self.names[at] for at in kept})


def trail_of(view: View, visits: Visits, nodes: Sequence[int], starts: Sequence[int]) -> Trail:
    """What carried `visits` from `starts` to each of `nodes`."""
    through = {node: tuple(boards[:CHECKED]) for node, boards in visits.through(nodes).items() if boards}
    names = {at: view.board_name(at) for at in {at for boards in through.values() for at, _ in boards}}
    held = {node: frozenset(view.boards_of(node).tolist()) & names.keys() for node in starts}
    return Trail(through, held, names)


def evidence_of(
    people: People,
    trail: Trail,
    pins: Mapping[int, str],
    asked: Mapping[int, str],
    alikes: Mapping[int, tuple[str, str, float]],
) -> Evidences:
    """What carried a walk to each node, as the record is now. `pins`, `asked`: ids by node. `alikes`: see `related`.

    Boards that hold both pins are named first; else those through which most visits came.
    """
    through, held, names = trail.through, trail.held, trail.names
    starts = {**asked, **{node: stand_in for node, (_, stand_in, _) in alikes.items()}}
    wanted = {(names[at], pins[node]) for node, boards in through.items() for at, _ in boards}
    wanted |= {(names[at], starts[node]) for node, mine in held.items() for at in mine}
    live = people.live_links(sorted(wanted))
    titles = people.board_titles(sorted(set(names.values())))
    dead = _dead(trail, pins, starts, live, titles)
    carried = {}
    for node, boards in through.items():
        total = sum(mass for _, mass in boards)
        fine = [(at, mass / total) for at, mass in boards if (names[at], pins[node]) in live]
        found = _kind(fine, trail, starts, live, asked)
        if found is None:
            continue
        kind, chosen, stand_in = found
        evidence = tuple(Evidence("board", names[at], share) for at, share in chosen[:SHOWN])
        alike = None if stand_in is None else (alikes[stand_in][1], alikes[stand_in][2])
        carried[node] = Carried(kind, evidence, len(chosen), titles, alike)
    return Evidences(carried, dead)


def _kind(
    boards: Sequence[tuple[int, float]],
    trail: Trail,
    starts: Mapping[int, str],
    live: set[tuple[str, str]],
    asked: Mapping[int, str],
) -> tuple[str, list[tuple[int, float]], int | None] | None:
    """Boards with an asked pin on them; else with its look-alike that is on most; else all."""
    mine = {
        node: [each for each in boards if each[0] in held and (trail.names[each[0]], starts[node]) in live]
        for node, held in trail.held.items()
    }
    direct = [each for each in boards if any(each in mine[node] for node in asked if node in mine)]
    if direct:
        return TOGETHER, direct, None
    best = max((node for node in mine if mine[node]), key=lambda n: sum(s for _, s in mine[n]), default=None)
    if best is not None:
        return LOOK_ALIKE, mine[best], best
    return (NEAR, list(boards), None) if boards else None


def _dead(
    trail: Trail,
    pins: Mapping[int, str],
    starts: Mapping[int, str],
    live: set[tuple[str, str]],
    titles: Mapping[str, str],
) -> list[int]:
    """The keys, as a walk knows them, of links and boards that are not there any more."""
    keys = {DEAD_BOARD | at for at, name in trail.names.items() if name not in titles}
    links = {(node, at, pins[node]) for node, boards in trail.through.items() for at, _ in boards}
    links |= {(node, at, starts[node]) for node, mine in trail.held.items() for at in mine}
    keys |= {(node << 32) | at for node, at, pin in links if (trail.names[at], pin) not in live}
    return sorted(keys)
