"""A feed in a simulated world: what people save of it, how varied it is, how long it takes.

python benchmarks/feed.py INDEX [--people 60] [--days 4] [--seeds 3] [--searches 0] [--latency 0] [--to benchmarks/results]

INDEX is copied and stays as it is. People are simulated over its pins: the record begins with what they saved before and with some
days of the simulated site. Then each server serves the same visits of the same people, in a world and a record of its own, and
learns of each reaction at once. Peers: the most popular pins, and the nearest to the person's last save. They too leave out
what a person saved, what the session showed, and what was shown three times. `plain` is the feed without variety.
`saves_per_100` counts saves per 100 impressions. `alike` is the mean cosine of the pairs of a page.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import report

import visualsearch as vs
from visualsearch.errors import VisualSearchError
from visualsearch.people import open_people
from visualsearch.pinned import CatalogPins
from visualsearch.recommend import BUILDERS, Personal, feed, interests_of, learn
from visualsearch.recommend.feed import MOST_SEEN, RANKER
from visualsearch.recommend.sources import shelf_of
from visualsearch.types import Hits
from visualsearch.world import World, WorldSettings, simulate

PAGE = 20


class Clock:
    """The time of the record: that of the world."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> int:
        """Milliseconds."""
        return self.at


@dataclass
class Session:
    """What a session has shown so far."""

    shown: set[str] = field(default_factory=set)
    cursor: str | None = None


Server = Callable[[vs.Index, str, Session], Sequence[str]]


def fed(variety: float | None = None) -> Server:
    """The feed; with another variety, if given."""
    ranker = RANKER if variety is None else replace(RANKER, diversity=variety, most=1.0)

    def serve(index: vs.Index, person: str, session: Session) -> list[str]:
        hits: Hits = feed(index, person, PAGE, cursor=session.cursor, ranker=ranker)
        session.cursor = hits.cursor
        return hits.ids

    return serve


def _left(index: vs.Index, person: str, session: Session, names: Sequence[str]) -> list[str]:
    mine = interests_of(index, person)
    without, seen = (mine.without, mine.seen) if mine is not None else (frozenset(), {})
    fine = [n for n in names if n not in without and n not in session.shown and seen.get(n, 0) < MOST_SEEN]
    return fine[:PAGE]


def popular(index: vs.Index, person: str, session: Session) -> list[str]:
    """The most popular pins."""
    return _left(index, person, session, list(shelf_of(index, index.people.now()).popular))


def last_save(index: vs.Index, person: str, session: Session) -> list[str]:
    """The nearest to the person's last save."""
    deeds = index.people.deeds(person)
    last = next((d.pin for d in deeds.deeds if d.kind == "save"), None) if deeds is not None else None
    if last is None:
        return popular(index, person, session)
    most = 2 * PAGE + len(session.shown) + 200
    return _left(index, person, session, index.nearest(index.vectors([last]), k=most)[0].ids)


SERVERS: dict[str, Server] = {"feed": fed(), "plain": fed(0.0), "popular": popular, "last save": last_save}


def copied(source: Path, place: Path) -> Path:
    """A copy of an index; the files of its vectors, which never change, are linked."""

    def link(one: str, other: str) -> None:
        (os.link if one.endswith((".f16", ".bin")) or "/vectors/" in one else shutil.copy2)(one, other)

    shutil.copytree(source, place, copy_function=link)
    return place


def opened(folder: Path, clock: Clock) -> vs.Index:
    """An index whose record of people goes by the world's clock."""
    index = vs.open(folder)
    index._people = open_people(folder, pins=CatalogPins(index.catalog), now=clock)
    return index


def served(folder: Path, server: Server, days: int, vectors: Any) -> dict[str, float]:
    """Serve all visits of some days; counts, and how alike the pins of a page are."""
    clock = Clock(0)
    with opened(folder, clock) as index:
        world = World.of(index)
        sessions: dict[tuple[int, int], Session] = {}
        counts: Counter[str] = Counter()
        alike: list[float] = []
        times: list[float] = []
        first = world.day
        for day in range(first, first + days):
            visits = world.visits(day)
            for person, at, session in zip(visits.person, visits.at, visits.session, strict=True):
                clock.at = int(at)
                name = world.persons[int(person)]
                held = sessions.setdefault((day, int(session)), Session())
                begun = time.perf_counter()
                names = server(index, name, held)
                times.append(time.perf_counter() - begun)
                held.shown |= set(names)
                events = world.respond(name, names, int(at), answer=f"a{len(times)}")
                counts.update(event.kind for event in events)
                counts["impressions"] += len(names)
                own = vectors[[world.place(each) for each in names]].astype(np.float32)
                alike += [float((own @ own.T)[np.triu_indices(len(own), 1)].mean())] if len(own) > 1 else []
                _recorded(index, events)
            world.clock = world.settings.begins + (day + 1) * 86_400_000
    shown = max(1, counts["impressions"])
    return {
        "impressions": shown,
        "saves_per_100": 100 * counts["save"] / shown,
        "clicks_per_100": 100 * counts["click"] / shown,
        "alike": float(np.mean(alike)),
        "ms_p50": 1000 * float(np.percentile(times, 50)),
        "ms_p99": 1000 * float(np.percentile(times, 99)),
    }


def _recorded(index: vs.Index, events: Sequence[Any]) -> None:
    index.people.record([event for event in events if event.kind != "save"])
    for event in events:
        if event.kind == "save":
            try:
                index.people.save(event.person, event.pin, board=event.board or "Saved")
            except VisualSearchError:
                continue  # their consent is off: nothing is kept


def world_of(source: Path, place: Path, people: int, seed: int, before: int) -> Path:
    """A copy of the index with a world of that seed in its record, and what was learnt from it."""
    folder = copied(source, place)
    settings = WorldSettings(people, before, seed, sessions_per_day=1.0)
    with vs.open(folder) as index:
        simulate(index, settings)
        learn(index, BUILDERS)
    return folder


def compared(source: Path, seed: int, people: int, days: int, names: Sequence[str]) -> dict[str, Any]:
    """Every server over the same visits."""
    with tempfile.TemporaryDirectory() as scratch:
        made = world_of(source, Path(scratch) / "world", people, seed, 3)
        with vs.open(made) as index:
            vectors = World.of(index).scene.pins.vectors
        found = {}
        for name in names:
            folder = copied(made, Path(scratch) / name.replace(" ", "-"))
            found[name] = served(folder, SERVERS[name], days, vectors)
            shutil.rmtree(folder)
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--to", type=Path)
    args = parser.parse_args()
    names = args.servers.split(",")
    rows = []
    for seed in range(args.seeds):
        found = compared(args.index, seed, args.people, args.days, names)
        rows.append(found)
        for name in names:
            print(seed, name, {key: round(value, 3) for key, value in found[name].items()}, flush=True)
    means = {name: {key: float(np.mean([row[name][key] for row in rows])) for key in rows[0][name]} for name in names}
    for name, values in means.items():
        print("mean", name, {key: round(value, 3) for key, value in values.items()})


if __name__ == "__main__":
    main()
