"""Run a world into files or into the record of an index, and take it out again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import UsageError
from visualsearch.people import FILE as PEOPLE_FILE
from visualsearch.storage import storage_error

from . import tables
from .boards import make_follows
from .generator import Day, Generator
from .pins import Pins, read_pins
from .record import RecordSink, check_real, remove_people
from .scene import Scene, make_scene
from .settings import NOTICE, WorldSettings
from .tastes import Tastes
from .truth import (
    COMPLETE,
    FOLDER,
    REMOVING,
    WRITING,
    TruthSink,
    manifest_of,
    read_manifest,
    remove_truth,
    settings_of,
    write_manifest,
)

if TYPE_CHECKING:
    from visualsearch.engine import Index


@dataclass(frozen=True)
class WorldReport:
    """What was simulated. `place` holds the files, or is the index whose record was written; `truth` is beside it.

    `counts` are events by kind, saves, and the events that consent kept out of the record; `stored` is what the record took.
    """

    place: Path
    truth: Path
    people: int
    days: int
    seed: int
    first_day: str
    last_day: str
    counts: dict[str, int] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    notice: str = NOTICE

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "simulated": True, "place": str(self.place), "truth": str(self.truth)}


def simulate(
    index: Index,
    settings: WorldSettings,
    *,
    to: str | os.PathLike[str] | None = None,
    address: str | None = None,
    into_real: bool = False,
    tastes: Tastes | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> WorldReport:
    """Simulate people over an index's pins, and write what they did.

    Into the record of the index, through the calls that real deeds come through; or, with `to`, into a folder of Parquet files
    that `people import` reads, and then the record is not touched. Both hold the same. The truth lies in `world.truth` beside
    it. The same settings over the same pins write the same bytes. A run that was interrupted goes on where it was when it
    is asked for again. `address` is that of a PostgreSQL record. Raises UsageError where the record holds real people,
    unless `into_real`; where another world is there; and where the last day is not over yet.
    """
    started = time.perf_counter()
    place = index.folder if to is None else Path(to)
    _check_place(place, settings)
    if to is None:
        if settings.ends > time.time() * 1000:
            raise UsageError(
                "cannot write these days into the record",
                f"the last of {settings.days} days from {settings.start} is not over yet",
                "Begin earlier: --start 2026-01-01, or simulate fewer days",
            )
        check_real(index, address, into_real)
    pins = read_pins(index)
    scene = make_scene(pins, settings, tastes)
    _check_pins(place, pins)
    where = {"record": address or PEOPLE_FILE} if to is None else {"record": None}
    begun = read_manifest(place) or {}
    more: dict[str, Any] = {"imports": begun.get("imports", [])} if to is None else {}
    write_manifest(place, manifest_of(scene, WRITING, **where, **more))
    truth = TruthSink(scene, place)
    truth.begin()
    days = Generator(scene).days()
    stored: dict[str, int] = {}
    if to is None:

        def remember(file: str) -> None:
            """Known before it is imported, so that it can be taken out whenever the run is stopped."""
            more["imports"] = sorted({*more["imports"], file})
            write_manifest(place, manifest_of(scene, WRITING, **where, **more))

        sink = RecordSink(scene, index, address, say, remember)
        sink.run(days, truth.day)
        stored = sink.counts
    else:
        more["tables"] = _files(scene, place, days, truth.day, say)
    found = truth.end()
    write_manifest(place, manifest_of(scene, COMPLETE, **where, **more, **found))
    return WorldReport(
        place,
        place / FOLDER,
        settings.people,
        settings.days,
        settings.seed,
        tables.day_name(scene, 0),
        tables.day_name(scene, settings.days - 1),
        found["counts"],
        stored,
        time.perf_counter() - started,
    )


def remove_world(index: Index, *, address: str | None = None) -> dict[str, int]:
    """Take the simulated people out of an index again, with all that they did and the truth; rows by table.

    Real people's boards, saves and events stay. Raises UsageError where there is no world.
    """
    manifest = read_manifest(index.folder)
    if manifest is None:
        raise UsageError(
            f"there is no simulated world in {index.folder}",
            f"it has no {FOLDER}",
            "There is nothing to remove",
        )
    write_manifest(index.folder, {**manifest, "state": REMOVING})
    record = manifest.get("record")
    place = address or (record if record and "://" in record else None)
    removed = remove_people(index, place, list(manifest.get("imports", [])))
    remove_truth(index.folder)
    return removed


def _check_place(place: Path, settings: WorldSettings) -> None:
    manifest = read_manifest(place)
    if manifest is None:
        if place.exists() and not (place / "catalog.sqlite").exists() and any(place.iterdir()):
            raise UsageError(
                f"cannot write a world to {place}", "it is no empty folder", "Name a new or empty folder"
            )
        return
    if manifest["state"] == WRITING and settings_of(manifest) == settings:
        return
    state = {
        COMPLETE: "it holds a simulated world already",
        WRITING: "another world was begun there and interrupted",
        REMOVING: "a world is being removed from it",
    }[manifest["state"]]
    raise UsageError(
        f"cannot simulate people in {place}",
        state,
        "Remove it first: visualsearch world DIR --remove (a folder of files: delete it)",
    )


def _check_pins(place: Path, pins: Pins) -> None:
    manifest = read_manifest(place)
    if manifest is not None and manifest["pins"] != pins.fingerprint:
        raise UsageError(
            f"cannot go on with the world in {place}",
            "the index has other pins than when it was begun",
            "Remove it and begin anew: visualsearch world DIR --remove",
        )


def _files(
    scene: Scene, place: Path, days: Iterator[Day], truth: Callable[[Day], None], say: Callable[[str], None]
) -> list[str]:
    """Write the tables that `people import` reads; their names in the order in which to import them."""
    used = np.zeros(len(scene.boards), bool)
    try:
        tables.write(place / "people.parquet", tables.people_table(scene))
        saves = tables.Stream(place / "saves.parquet")
        names = []
        for day in days:
            truth(day)
            for each in day.saves:
                used[each.board[tables.seen_saves(scene, each)]] = True
                saves.add(tables.saves_table(scene, each))
            if day.number < 0:
                continue
            names.append(f"events/{tables.day_name(scene, day.number)}.parquet")
            tables.write(place / names[-1], tables.events_table(scene, day.number, day.events))
            say(f"{names[-1]}: {len(day.events['at']):,} events")
        saves.close()
        tables.write(place / "boards.parquet", tables.boards_table(scene, used))
        follows = make_follows(scene.people, scene.tastes, scene.settings)
        tables.write(place / "follows.parquet", tables.follows_table(scene, follows))
    except OSError as error:
        raise storage_error(place, error) from error
    return ["people.parquet", "boards.parquet", "saves.parquet", "follows.parquet", *names]
