"""A feed in a simulated world: what people save of it, how varied it is, how long it takes; and a search that knows who asks.

python benchmarks/feed.py [--index DIR] [--people 60] [--days 3] [--seeds 3] [--parts world,search,speed] [--smoke] [--to DIR]

The index (without DIR: the sample pins) is copied and stays as it is. People are simulated over its pins: the record begins with
what they saved before and with three days of the simulated site. Then each server serves the same visits of the same people, in a
world and a record of its own, and learns of each reaction at once. Peers: the most popular pins, and the nearest to the person's
last save. They too leave out what a person knows, what the session showed, and what was shown three times. `plain` is the feed
without variety. `saves_per_100` counts saves per 100 impressions. `alike` is the mean cosine of the pairs of a page.

`search`: people ask for what looks like a pin that they would like, and 30 results are shown in random order. `ndcg` tells how
well each strength of the personal term orders what they clicked, on people whom the strength was not chosen on.
`speed`: pages of a feed, right after a save of the same person, which must be gone from it. `cpu_` is the thread's own time.
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
from visualsearch import samples
from visualsearch.compiled import WALKS
from visualsearch.errors import VisualSearchError
from visualsearch.people import open_people
from visualsearch.pinned import CatalogPins
from visualsearch.recommend import BUILDERS, feed, interests_of, learn
from visualsearch.recommend.feed import MOST_SEEN, RANKER
from visualsearch.recommend.sources import shelf_of
from visualsearch.types import Hits
from visualsearch.world import World, WorldSettings, simulate

PAGE = 20
STRENGTHS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)


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


def searched(folder: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """How well each strength of the personal term orders what was clicked; half of the people chose it."""
    rng = np.random.default_rng(seed)
    halves: list[dict[float, list[float]]] = [{s: [] for s in STRENGTHS} for _ in range(2)]
    clock = Clock(0)
    with opened(folder, clock) as index:
        world = World.of(index)
        clock.at = world.clock
        people, tastes = world.scene.people, world.scene.tastes
        for at, who in enumerate(rng.integers(0, len(people), count).tolist()):
            person, taste = world.persons[who], int(people.taste[who, 0])
            if taste < 0 or interests_of(index, person) is None:
                continue
            query = world.pins[int(tastes.draw(np.array([taste]), rng.random(1))[0])]
            shown = index.search(like=query, k=30).ids
            shuffled = [shown[place] for place in rng.permutation(len(shown)).tolist()]
            events = world.respond(person, shuffled, world.clock + at, surface="search")
            clicked = {event.pin for event in events if event.kind == "click"}
            if not clicked:
                continue
            for strength in STRENGTHS:
                hits = index.search(like=query, k=30, person=person, personal=strength)
                halves[who % 2][strength].append(ndcg(hits.ids, clicked))
    means = [{s: float(np.mean(values)) if values else 0.0 for s, values in half.items()} for half in halves]
    chosen = max(STRENGTHS, key=lambda s: means[0][s])
    return [
        {
            "name": f"search, strength {strength}",
            "ndcg": means[1][strength],
            "ndcg_where_chosen": means[0][strength],
            "chosen": strength == chosen,
            "searches": len(halves[1][strength]),
        }
        for strength in STRENGTHS
    ]


def ndcg(ids: Sequence[str], clicked: set[str | None]) -> float:
    """NDCG@10 of an order, where what was clicked is relevant."""
    gains = 1 / np.log2(np.arange(2, 12))
    found = sum(float(gains[place]) for place, name in enumerate(ids[:10]) if name in clicked)
    return found / float(gains[: len(clicked)].sum())


def speed(folder: Path, most: int) -> dict[str, Any]:
    """Pages of a feed, each right after a save of the same person."""
    clock = Clock(0)
    took: list[float] = []
    cpu: list[float] = []
    counted = 0
    with opened(folder, clock) as index:
        world = World.of(index)
        clock.at = world.clock
        for person in world.persons[:20]:
            index.feed(person)
        for person in world.persons[:most]:
            before = index.feed(person, 25)
            clock.at += 1000
            try:
                index.people.save(person, before.ids[0], board="Kept")
            except VisualSearchError:
                continue  # their consent is off
            begun, busy = time.perf_counter(), time.thread_time()
            after = index.feed(person, 25)
            took.append(time.perf_counter() - begun)
            cpu.append(time.thread_time() - busy)
            counted += before.ids[0] not in after.ids
        pins = len(index)
        saves = index.people.newest_save()
    return {
        "name": f"speed, {pins:,} pins",
        "pins": pins,
        "people": len(world.persons),
        "saves": saves,
        "pages": len(took),
        "saves_that_counted_at_once": counted,
        "p50_ms": 1000 * float(np.percentile(took, 50)),
        "p99_ms": 1000 * float(np.percentile(took, 99)),
        "cpu_p50_ms": 1000 * float(np.percentile(cpu, 50)),
        "cpu_p99_ms": 1000 * float(np.percentile(cpu, 99)),
    }


def samples_index(place: Path) -> Path:
    """An index of the sample pins."""
    with vs.create(place) as index:
        index.add(samples.manifest())
    return place


def worlds(source: Path, seeds: int, people: int, days: int) -> list[dict[str, Any]]:
    """The mean of every server over the seeds, and of each seed."""
    found = []
    for seed in range(seeds):
        found.append(compared(source, seed, people, days, list(SERVERS)))
        print(
            seed, {name: round(values["saves_per_100"], 3) for name, values in found[-1].items()}, flush=True
        )
    return [
        {
            "name": f"world, {name}",
            **{key: float(np.mean([each[name][key] for each in found])) for key in found[0][name]},
            "saves_per_100_by_seed": [round(each[name]["saves_per_100"], 4) for each in found],
        }
        for name in SERVERS
    ]


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--searches", type=int, default=400)
    parser.add_argument("--parts", default="world,search,speed")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    if options.smoke:
        options.people, options.days, options.seeds, options.searches = 12, 1, 1, 20
    WALKS.load()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        source = options.index or samples_index(Path(scratch) / "samples.index")
        if "world" in options.parts:
            rows += worlds(source, options.seeds, options.people, options.days)
        if "search" in options.parts or "speed" in options.parts:
            made = world_of(source, Path(scratch) / "world", options.people, 100, 3)
            rows += searched(made, options.searches, 0) if "search" in options.parts else []
            rows += [speed(made, 200)] if "speed" in options.parts else []
    report("feed", {"rows": rows, "goals": []}, options.to)


if __name__ == "__main__":
    main()
