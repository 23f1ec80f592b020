"""A world in the record of an index: written through the calls that real people's deeds come through, and taken out again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import ConflictError, UsageError
from visualsearch.people import FILE, PinRef, open_people
from visualsearch.pinned import CatalogPins

from . import tables
from .boards import make_follows
from .bursts import site_name
from .generator import Day, unseen
from .population import LEVELS, ON
from .saving import Saves
from .scene import Scene
from .settings import DAY_MS, PREFIX, person_key
from .truth import FOLDER

if TYPE_CHECKING:
    from concurrent.futures import Future

    from visualsearch.engine import Index
    from visualsearch.people import People

STAGING = "import"
HISTORY_STEPS = 26
"""What came before the first day is written in so many steps of a week, each at its own time."""
AT_ONCE = 2000


class Clock:
    """The time at which deeds are written: that of the world."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> int:
        """The time in milliseconds."""
        return self.at


@contextmanager
def opened(index: Index, address: str | None, clock: Callable[[], int]) -> Iterator[People]:
    """The record of an index, with a clock of its own."""
    people = open_people(index.folder, address, pins=CatalogPins(index.catalog), now=clock)
    try:
        yield people
    finally:
        people.close()


def check_real(index: Index, address: str | None, into_real: bool) -> None:
    """Raise UsageError where the record holds people who are not simulated, unless the owner wants both."""
    if into_real or (address is None and not (index.folder / FILE).exists()):
        return
    with opened(index, address, Clock(0)) as people:
        real = people.count_others(PREFIX)
    if real:
        raise UsageError(
            f"will not simulate people in {index.folder}",
            f"its record holds {real:,} people who are not simulated, and figures would mix both",
            "Use a copy of the index, write files with --to FOLDER, or insist with --into-real",
        )


class RecordSink:
    """Writes a world into the record day by day, at the world's own time."""

    def __init__(
        self,
        scene: Scene,
        index: Index,
        address: str | None,
        say: Callable[[str], None],
        remember: Callable[[str], None],
    ) -> None:
        self.scene, self.index, self.address, self.say, self.remember = scene, index, address, say, remember
        self.clock = Clock(scene.settings.begins)
        self.staging = index.folder / FOLDER / STAGING
        self.counts = {"boards": 0, "saves": 0, "follows": 0, "events": 0, "refused": 0}
        self._made: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._follows = make_follows(scene.people, scene.tastes, scene.settings)
        self._kept = tables.seen_follows(scene, self._follows)
        self._followed = 0

    def run(self, days: Iterator[Day], others: Callable[[Day], None]) -> None:
        """Write all days; `others` sees each first."""
        with opened(self.index, self.address, self.clock) as people:
            self._begin(people)
            for day in days:
                others(day)
                if day.number < 0:
                    self._history(people, day)
                    continue
                self.say(f"{tables.day_name(self.scene, day.number)}: {len(day.events['at']):,} events")
                start = self.scene.settings.begins + day.number * DAY_MS
                self._step(people, start, day.saves)
                self._events(people, day)
        shutil.rmtree(self.staging, ignore_errors=True)

    def _begin(self, people: People) -> None:
        """Consents first, so that nothing of those who withhold it is ever stored; then what people declared."""
        scene = self.scene
        self.clock.at = scene.settings.begins - 181 * DAY_MS
        for who in np.flatnonzero(scene.people.consent != ON).tolist():
            people.consent(person_key(scene.settings.seed, who), LEVELS[scene.people.consent[who]])
        seen = np.flatnonzero(~unseen(scene, np.arange(len(scene.people)))).tolist()
        for at in range(0, len(seen), AT_ONCE):
            jobs = [
                people.declaring(person_key(scene.settings.seed, who), **tables.profile(scene, who))
                for who in seen[at : at + AT_ONCE]
            ]
            _all(people, jobs)

    def _history(self, people: People, day: Day) -> None:
        begins = self.scene.settings.begins
        for step in range(HISTORY_STEPS):
            start = begins - (HISTORY_STEPS - step) * 7 * DAY_MS
            low = start if step else -(2**62)
            some = [_between(each, low, start + 7 * DAY_MS) for each in day.saves]
            self._step(people, start, some)

    def _step(self, people: People, start: int, saves: list[Saves]) -> None:
        """Boards, saves and follows of a while, in the order in which they came about."""
        self.clock.at = start
        for each in saves:
            self._save(people, each)
        self._follow(people, (start - self.scene.settings.begins) / DAY_MS + 1)

    def _save(self, people: People, saves: Saves) -> None:
        scene, boards = self.scene, self.scene.boards
        seen = tables.seen_saves(scene, saves)
        fresh = [b for b in np.unique(saves.board[seen]).tolist() if b not in self._made]
        self._made.update(fresh)
        jobs = [
            people.boarding(
                person_key(scene.settings.seed, int(boards.owner[b])),
                boards.title[b],
                **tables.board_options(scene, b),
            )
            for b in fresh
        ]
        self.counts["boards"] += len(_all(people, jobs, ConflictError))
        refs = _refs(people, [scene.pins.ids[pin] for pin in np.unique(saves.pin[seen]).tolist()])
        for first in range(0, len(seen), AT_ONCE):
            rows = seen[first : first + AT_ONCE].tolist()
            self._put(people, saves, self._ready(saves, rows), refs)

    def _ready(self, saves: Saves, rows: list[int]) -> list[list[int]]:
        """The rows in rounds, so that each source is stored before what was taken from it."""
        rounds: list[list[int]] = []
        place: dict[int, int] = {}
        for row in rows:
            source = int(saves.source[row])
            level = place[source] + 1 if source in place else 0
            place[int(saves.number[row])] = level
            if level == len(rounds):
                rounds.append([])
            rounds[level].append(row)
        return rounds

    def _put(self, people: People, saves: Saves, rounds: list[list[int]], refs: dict[str, PinRef]) -> None:
        scene = self.scene
        for rows in rounds:
            jobs = []
            for row in rows:
                who = int(saves.person[row])
                jobs.append(
                    people.saving(
                        person_key(scene.settings.seed, who),
                        refs[scene.pins.ids[int(saves.pin[row])]],
                        board=scene.boards.title[int(saves.board[row])],
                        section=tables.section_title(scene.boards, who, int(saves.section[row])),
                        note=tables.note_text(int(saves.note[row])),
                        site=site_name(scene, int(saves.site[row])),
                        repin_of=self._numbers.get(int(saves.source[row])),
                        at=int(saves.at[row]),
                        record=False,
                    )
                )
            for row, number in zip(rows, _all(people, jobs), strict=True):
                self._numbers[int(saves.number[row])] = number
            self.counts["saves"] += len(rows)

    def _follow(self, people: People, until: float) -> None:
        days = self._follows.day[self._kept]
        end = int(np.searchsorted(days, until))
        jobs = []
        for at in self._kept[self._followed : end].tolist():
            target = tables.follow_target(
                self.scene, int(self._follows.whom[at]), int(self._follows.topic[at])
            )
            jobs.append(
                people.following(person_key(self.scene.settings.seed, int(self._follows.person[at])), *target)
            )
        self._followed = end
        self.counts["follows"] += len(_all(people, jobs))

    def _events(self, people: People, day: Day) -> None:
        """A day's events go in as a file does, at the end of the world, so that closed days become Parquet at once."""
        path = self.staging / f"{tables.day_name(self.scene, day.number)}.parquet"
        tables.write(path, tables.events_table(self.scene, day.number, day.events))
        self.clock.at = self.scene.settings.ends + 3 * DAY_MS
        self.remember(people.import_key(path, "events"))
        report = people.import_file(path, "events")
        path.unlink()
        self.counts["events"] += report.accepted + report.duplicates
        self.counts["refused"] += report.refused + report.failed


def remove_people(index: Index, address: str | None, imports: list[str]) -> dict[str, int]:
    """Take every simulated person out of the record; rows by table."""
    if address is None and not (index.folder / FILE).exists():
        return {}
    with opened(index, address, Clock(0)) as people:
        return people.forget_all(PREFIX, imports)


def _between(saves: Saves, low: int, high: int) -> Saves:
    which = (saves.at >= low) & (saves.at < high)
    return Saves(*(getattr(saves, name)[which] for name in saves.__dataclass_fields__))


def _refs(people: People, ids: list[str]) -> dict[str, PinRef]:
    found: dict[str, PinRef] = {}
    for at in range(0, len(ids), 500):
        found |= people.pins.find(ids[at : at + 500])
    return {name: found.get(name, PinRef(None, name)) for name in ids}


def _all(people: People, jobs: list[Any], ignored: type[Exception] | tuple[()] = ()) -> list[Any]:
    """Hand all over and wait; what they gave, without those that raised what is ignored."""
    waiting: list[Future[Any]] = [people.store.writer.submit(job) for job in jobs]
    found = []
    for future in waiting:
        try:
            found.append(future.result())
        except ignored:
            continue
    return found
