"""A feed at size: how long a page takes, right after a save of the same person too, and whether that save counted.

python benchmarks/feed_size.py [--pins 1000000] [--people 100000] [--saves 10000000] [--keep DIR] [--smoke] [--to DIR]

The pins are vectors around those of the sample pins, and the index is tuned as `visualsearch index` does it. The saves are drawn:
a person has three topics and a board for each, activity and the popularity of pins are long-tailed. The rows go straight into
the tables of the record, which is how it looks after an import, only sooner; then the graph is learnt. `--keep` keeps the index:
the next run measures only. `cold`: the first page of somebody who was not seen since the server began. `after a save`: the next
first page right after they saved a pin of it. `page 2`: with the cursor. `cpu_` is the thread's own time, which says what a
machine without other work takes. Persons are drawn by their saves: who saves more, asks more.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import report
from synthetic import Made, around

import visualsearch as vs
from visualsearch.compiled import WALKS
from visualsearch.recommend import BUILDERS, learn
from visualsearch.server.threads import one_core_a_product
from visualsearch.types import Float32, Int64

BLOCK = 500_000
TOPIC = 500
"""Pins of a topic."""
GOAL_MS = 100.0


class Blocks:
    """(n, d) vectors that are made when they are read."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[Float32]:
        for at in range(0, self.rows, 100_000):
            yield from around(min(100_000, self.rows - at), 7 + at)


def built(folder: Path, pins: int, people: int, saves: int) -> dict[str, float]:
    """The index with its record; seconds of each step."""
    took = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        begun = time.perf_counter()
        work()
        took[name] = time.perf_counter() - begun
        print(f"{name}: {took[name]:.1f} s", flush=True)

    with vs.create(folder) as index:
        timed("index_s", lambda: index.add(Made(Blocks(pins))))
        index.people.save("nobody", "v0", board="first")  # makes the tables
        timed("saves_s", lambda: filled(index, pins, people, saves))
        timed("learn_s", lambda: learn(index, BUILDERS, only=["graph"]))
    return took


def filled(index: vs.Index, pins: int, people: int, saves: int) -> None:
    """Write people, boards and saves into the tables."""
    with index.catalog.read() as reader:
        numbers = reader.numbers()
        held = reader.look_up("id", "pin", numbers.tolist())
    names = np.array([held[number] for number in numbers.tolist()], object)
    label = topics_of(index, names, max(4, pins // TOPIC))
    order = np.argsort(label, kind="stable")
    first = np.searchsorted(label[order], np.arange(label.max() + 2))
    rng = np.random.default_rng(0)
    activity = rng.zipf(1.7, people).clip(1, 2000) + 10.0
    each = np.maximum(1, activity * saves / activity.sum()).astype(np.int64)
    now = index.people.now()
    tables = sqlite3.connect(folder_of(index) / "people.sqlite", isolation_level=None)
    tables.execute("PRAGMA synchronous = OFF")
    tables.execute("BEGIN")
    base = tables.execute("SELECT max(person) FROM people").fetchone()[0] + 1
    insert(
        tables,
        "people",
        ({"person": base + at, "key": f"p{at}", "created": now} for at in range(people)),
    )
    consent = dict.fromkeys(("searches", "clicks", "profile", "sites"), 1)
    insert(
        tables,
        "consent",
        ({"person": base + at, "level": "on", **consent, "paused": 0, "at": now} for at in range(people)),
    )
    topics = rng.integers(0, int(label.max()) + 1, (people, 3))
    insert(tables, "boards", (board(base, at, t, now) for at in range(people) for t in range(3)))
    for begun in range(0, people, 2000):
        some = np.arange(begun, min(people, begun + 2000))
        insert(tables, "saves", rows(rng, some, each, topics, first, order, names, numbers, base, now))
    tables.execute("COMMIT")
    tables.close()


def folder_of(index: vs.Index) -> Path:
    """Where the record lies."""
    return Path(index.folder)


def board(base: int, person: int, topic: int, now: int) -> dict[str, Any]:
    """A public board."""
    title = f"topic {topic}"
    return {
        "board": f"b{person * 3 + topic:016x}", "owner": base + person, "title": title, "folded": title,
        "description": "", "kind": "interest", "ends": None, "secret": 0, "created": now, "changed": now,
    }  # fmt: skip


def rows(
    rng: np.random.Generator,
    some: Int64,
    each: Int64,
    topics: Int64,
    first: Int64,
    order: Int64,
    names: Any,
    numbers: Int64,
    base: int,
    now: int,
) -> Iterator[dict[str, Any]]:
    """Saves of some persons, one of a pin on a board."""
    person = np.repeat(some, each[some])
    which = rng.integers(0, 3, len(person))
    topic = topics[person, which]
    size = first[topic + 1] - first[topic]
    pin = order[first[topic] + np.minimum(size * rng.random(len(person)) ** 2.5, size - 1).astype(np.int64)]
    stray = rng.random(len(person)) < 0.1
    pin[stray] = rng.integers(0, len(names), int(stray.sum()))
    key = np.unique(np.stack([person * 3 + which, pin], 1), axis=0)
    at = now - (rng.random(len(key)) * 90 * 86_400_000).astype(np.int64)
    ids, known = names[key[:, 1]].tolist(), numbers[key[:, 1]].tolist()
    for place, name, number, when in zip(key[:, 0].tolist(), ids, known, at.tolist(), strict=True):
        yield {
            "board": f"b{place:016x}", "person": base + place // 3, "pin": number, "pin_id": name,
            "note": "", "at": when, "gone": 0,
        }  # fmt: skip


def insert(tables: sqlite3.Connection, name: str, values: Iterator[dict[str, Any]]) -> None:
    """Insert rows; columns that a row lacks get what the table says, or an empty value."""
    known = tables.execute(f"PRAGMA table_info({name})").fetchall()
    one = next(values)
    columns = [row[1] for row in known if row[1] in one]
    missing = [row for row in known if row[1] not in one and row[3] and row[4] is None and not row[5]]
    empty = [0 if "INT" in row[2] or "BOOL" in row[2] else "" for row in missing]
    listed = ", ".join([*columns, *(row[1] for row in missing)])
    marks = ", ".join("?" * (len(columns) + len(missing)))
    asked = f"INSERT INTO {name} ({listed}) VALUES ({marks})"
    tables.execute(asked, [*(one[c] for c in columns), *empty])
    tables.executemany(asked, ([*(row[c] for c in columns), *empty] for row in values))


def topics_of(index: vs.Index, names: Any, count: int) -> Int64:
    """(n,) the topic of each pin: the nearest of some pins."""
    middle = index.vectors(names[np.linspace(0, len(names) - 1, count).astype(np.int64)].tolist())
    parts = []
    for at in range(0, len(names), 50_000):
        parts.append((index.vectors(names[at : at + 50_000].tolist()) @ middle.T).argmax(1))
    return np.concatenate(parts).astype(np.int64)


def measured(folder: Path, pages: int) -> list[dict[str, Any]]:
    """The pages."""
    WALKS.load()
    one_core_a_product()  # as `visualsearch serve` does
    times: dict[str, list[tuple[float, float]]] = {"cold": [], "page 2": [], "after a save": []}
    counted = asked = 0
    with vs.open(folder) as index:
        with sqlite3.connect(folder / "people.sqlite") as tables:
            numbers = [row[0] for row in tables.execute("SELECT save FROM saves ORDER BY save DESC LIMIT 1")]
            some = np.random.default_rng(1).integers(1, numbers[0] + 1, 4 * pages).tolist()
            found = [
                tables.execute(
                    "SELECT p.key FROM saves s JOIN people p ON p.person = s.person WHERE s.save = ?", (save,)
                ).fetchone()
                for save in some
            ]
            people = tables.execute("SELECT count(*) FROM people").fetchone()[0]
        persons = list(dict.fromkeys(row[0] for row in found if row is not None))
        for person in persons[:5]:
            index.feed(person)

        def page(kind: str, **more: Any) -> Any:
            begun, busy = time.perf_counter(), time.thread_time()
            hits = index.feed(person, 25, **more)
            times[kind].append((time.perf_counter() - begun, time.thread_time() - busy))
            return hits

        for person in persons[5 : pages + 5]:
            before = page("cold")
            page("page 2", cursor=before.cursor)
            index.people.save(person, before.ids[0], board="Kept")
            after = page("after a save")
            asked += 1
            counted += before.ids[0] not in after.ids
        pins = len(index)
        saves = index.people.newest_save()
    return [
        {
            "name": f"{kind}, {pins:,} pins",
            "pins": pins,
            "people": people,
            "saves": saves,
            "pages": len(held),
            "saves_that_counted_at_once": counted / max(1, asked),
            **{
                f"{label}p{q}_ms": 1000 * float(np.percentile([each[at] for each in held], q))
                for at, label in enumerate(("", "cpu_"))
                for q in (50, 99)
            },
        }
        for kind, held in times.items()
    ]


def main() -> None:
    """Measure, print, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pins", type=float, default=1e6)
    parser.add_argument("--people", type=float, default=1e5)
    parser.add_argument("--saves", type=float, default=1e7)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    if options.smoke:
        options.pins, options.people, options.saves, options.pages = 2000, 40, 1500, 5
    with tempfile.TemporaryDirectory() as scratch:
        place = (options.keep or Path(scratch)) / "feed.index"
        place.parent.mkdir(parents=True, exist_ok=True)
        took = (
            {} if place.exists() else built(place, int(options.pins), int(options.people), int(options.saves))
        )
        found = measured(place, options.pages)
    report("feed_size", {"rows": found, "build": took, "reach": {"p99_ms": GOAL_MS}, "goals": []}, options.to)


if __name__ == "__main__":
    main()
