"""The interactive simulator: a recommender serves lists, simulated people react, and the caller's clock goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from visualsearch.errors import UnknownNameError, UsageError
from visualsearch.people import Event
from visualsearch.types import Bool, Float32, Float64

from . import attacks
from .generator import end_projects, event_rows, save_reactions, unseen
from .pins import Pins, read_pins
from .reactions import COLUMNS, SURFACES, Lists, Reactions, examination, react, relevance
from .rows import Rows, by_time, joined
from .saving import SaveBook, Saves, history
from .scene import Scene, make_scene, with_look_alikes
from .serving import grid
from .settings import DAY_MS, PREFIX, WorldSettings, person_key
from .tables import event_list
from .tastes import Int32, Tastes
from .times import HOUR_MS, hour_shares
from .truth import COMPLETE, FOLDER, read_manifest, settings_of
from .visits import Visits, visits_of

if TYPE_CHECKING:
    from visualsearch.engine import Index


@dataclass(frozen=True)
class Served:
    """A pin in a slot of a served list. Without `row` and `column` it stands where the surface's grid has that slot.

    `promoted` is the name of the campaign of a promoted slot.
    """

    pin: str
    slot: int
    row: int | None = None
    column: int | None = None
    promoted: str | None = None


@dataclass
class Responses:
    """What became of m served lists: the lists, the reactions slot by slot, and which of the saves are new."""

    lists: Lists = field(repr=False)
    reactions: Reactions
    saves: Saves = field(repr=False)
    _rows: Rows = field(repr=False)
    _scene: Scene = field(repr=False)

    @property
    def saved(self) -> Bool:
        """(m, s) which slots were saved, each pin once by a person."""
        found = np.zeros(self.lists.pins.shape, bool)
        found.reshape(-1)[self.saves.row] = True
        return found

    def counts(self) -> dict[str, int]:
        """Impressions, and how many of them were clicked, saved and so on."""
        shown = int((self.lists.pins >= 0).sum())
        return {"impressions": shown, **self.reactions.counts(), "saved": len(self.saves)}

    @property
    def saves_per_100(self) -> float:
        """Saves per 100 impressions."""
        return 100 * len(self.saves) / max(1, int((self.lists.pins >= 0).sum()))

    def events(self) -> list[Event]:
        """The events, by time, as `people.record` takes them. A record refuses those of people whose consent is off."""
        return event_list(self._scene, self._rows)


class World:
    """A simulated world one can serve to. The same seed over the same pins is the same world.

    `clock` is the world's time in milliseconds; it stands still until `advance`. Everything that a person does is true to
    `relevance` and `examination`, which a benchmark may ask and a recommender must not.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.clock = scene.settings.begins
        self._places = {name: at for at, name in enumerate(scene.pins.ids)}
        self._book: SaveBook | None = None
        self._past: Saves | None = None
        self._answers = 0

    # -- making ------------------------------------------------------------------------------------------------------
    @classmethod
    def make(
        cls,
        index: Index | Pins,
        settings: WorldSettings | None = None,
        *,
        tastes: Tastes | None = None,
        **changes: Any,
    ) -> World:
        """A world over an index's pins; `changes` are fields of `WorldSettings`.

        For many seeds over one index, read the pins and make the tastes once, and hand them over. Raises UsageError.
        """
        chosen = WorldSettings(**changes) if settings is None else settings
        pins = index if isinstance(index, Pins) else read_pins(index)
        return cls(make_scene(pins, chosen, tastes))

    @classmethod
    def of(cls, index: Index) -> World:
        """The world that was simulated into this index, at its last day's end: projects that were ended by then are over.

        Raises UsageError where there is none, or where its pins are others by now.
        """
        manifest = read_manifest(index.folder)
        if manifest is None or manifest["state"] != COMPLETE:
            raise UsageError(
                f"there is no finished world in {index.folder}",
                f"it has no {FOLDER}, or one that was interrupted",
                "Run: visualsearch world DIR --people 1000 --days 30",
            )
        world = cls.make(index, settings_of(manifest))
        if world.scene.pins.fingerprint != manifest["pins"]:
            raise UsageError(
                f"cannot go on with the world of {index.folder}",
                "the index has other pins than when it was made",
                "Remove it and make it again: visualsearch world DIR --remove",
            )
        world._finish(index)
        return world

    def _finish(self, index: Index) -> None:
        import pyarrow.parquet as pq

        table = pq.read_table(
            index.folder / FOLDER / "interests.parquet", columns=["ends_day", "planned_end_day"]
        )
        ends = table.column("ends_day").to_numpy(zero_copy_only=False)
        who, column = np.nonzero(self.scene.people.taste >= 0)
        known = ~np.isnan(ends)
        self.scene.people.ends[who[known], column[known]] = ends[known]
        self.clock = self.settings.ends

    @property
    def settings(self) -> WorldSettings:
        """What the world is made from."""
        return self.scene.settings

    @property
    def persons(self) -> list[str]:
        """Everybody's keys."""
        return [person_key(self.settings.seed, number) for number in range(self.settings.people)]

    @property
    def pins(self) -> Sequence[str]:
        """The ids of the world's pins; `respond_many` and `Lists` name pins by their place in it."""
        return self.scene.pins.ids

    # -- the clock -------------------------------------------------------------------------------------------------
    @property
    def day(self) -> int:
        """The clock's day; 0 is the first."""
        return (self.clock - self.settings.begins) // DAY_MS

    def advance(self, *, days: float = 0, hours: float = 0) -> int:
        """Let time pass; the new time."""
        passed = days * DAY_MS + hours * HOUR_MS
        if passed < 0:
            raise UsageError("cannot go back", "a world's time goes forward only", "Make the world again")
        self.clock += round(passed)
        return self.clock

    def visits(self, day: int | None = None) -> Visits:
        """Who asks for a list on a day (None: the clock's), when, and on which surface."""
        return visits_of(self.scene, self.day if day is None else day)

    # -- reacting --------------------------------------------------------------------------------------------------
    def respond(
        self,
        person: str,
        served: Sequence[str | Served],
        at: int | None = None,
        *,
        surface: str = "feed",
        answer: str | None = None,
        session: str | None = None,
        variant: str | None = None,
    ) -> list[Event]:
        """What a person does with a served list: pin ids in the order of their slots, or `Served`. At the clock's time, or `at`.

        The events name the slots as they were served, and can be recorded as they are. Raises UnknownNameError, UsageError.
        """
        slots = [Served(each, slot) if isinstance(each, str) else each for slot, each in enumerate(served)]
        number = _numbered(surface)
        width = len(slots)
        row, column = grid(np.array([number]), width)
        order = np.array([each.slot for each in slots], np.int64)
        columns = COLUMNS[surface]
        row[0] = [each.slot // columns if each.row is None else each.row for each in slots]
        column[0] = [each.slot % columns if each.column is None else each.column for each in slots]
        names = {campaign.name: at for at, campaign in enumerate(self.scene.shops.campaigns)}
        promoted = [-1 if each.promoted is None else _of(names, each.promoted, "campaign") for each in slots]
        lists = Lists(
            np.array([self.number(person)], np.int32),
            np.array([self.clock if at is None else at], np.int64),
            np.array([number], np.int8),
            np.array([[self.place(each.pin) for each in slots]], np.int32).reshape(1, width),
            row,
            column,
            np.array([promoted], np.int32).reshape(1, width),
        )
        made = self.respond_many(lists)
        return event_list(
            self.scene, made._rows, order=order, answer=answer, session=session, variant=variant
        )

    def respond_many(self, lists: Lists) -> Responses:
        """The same for many lists at once. They are taken in the order of their times, which should not go back."""
        scene = self.scene
        reactions = react(scene, lists)
        saves = save_reactions(self.book, lists, reactions)
        answer = self._answers + np.arange(len(lists))
        self._answers += len(lists)
        shuffled = np.full(len(lists), -1)
        rows = by_time(joined(event_rows(scene, lists, reactions, saves, answer, answer, shuffled)))
        end_projects(scene, lists, reactions)
        return Responses(lists, reactions, saves, rows, scene)

    def lists(
        self,
        persons: Int32 | Sequence[int],
        pins: Int32,
        at: Any,
        surface: str = "feed",
        promoted: Any = None,
    ) -> Lists:
        """Lists for `respond_many`: (m,) numbers of people, (m, s) places of pins (-1 for an empty slot), (m,) times or one."""
        pins = np.asarray(pins, np.int32)
        m, width = pins.shape
        number = np.full(m, _numbered(surface), np.int8)
        row, column = grid(number.astype(np.int64), width)
        shown = np.full(pins.shape, -1, np.int32) if promoted is None else np.asarray(promoted, np.int32)
        times = np.broadcast_to(np.asarray(at, np.int64), (m,)).copy()
        return Lists(np.asarray(persons, np.int32), times, number, pins, row, column, shown)

    def compare(
        self, servers: Mapping[str, Callable[[Visits, World], Int32]], days: Sequence[int]
    ) -> dict[str, dict[str, float]]:
        """Serve the same visits of the same people by several servers, each in a world of its own; counts of each.

        A server gets visits and a world that stands at the day's end, and gives (m, s) places of pins. The luck of a person
        with a pin at a time is the same for all, so that small differences show.
        """
        found = {}
        for name, server in servers.items():
            world = World(make_scene(self.scene.pins, self.settings, self.scene.tastes))
            total: dict[str, float] = {}
            for day in days:
                visits = world.visits(day)
                world.clock = self.settings.begins + (day + 1) * DAY_MS
                lists = world.lists(visits.person, server(visits, world), visits.at)
                lists.surface[:] = visits.surface
                lists.row, lists.column = grid(visits.surface.astype(np.int64), lists.pins.shape[1])
                for kind, count in world.respond_many(lists).counts().items():
                    total[kind] = total.get(kind, 0) + count
            total["saves_per_100"] = 100 * total.get("saved", 0) / max(1, total.get("impressions", 0))
            found[name] = total
        return found

    @property
    def book(self) -> SaveBook:
        """Who saved what; what was saved before the first day is known from the first call on."""
        if self._book is None:
            self._book = SaveBook(self.scene)
            self._past = history(self.scene, self._book)
        return self._book

    @property
    def past(self) -> Saves:
        """What people had saved before the first day."""
        self.book  # noqa: B018 - made at first use
        assert self._past is not None
        return self._past

    # -- truth -----------------------------------------------------------------------------------------------------
    def relevance(self, persons: Any, pins: Any, at: int | None = None) -> Float32:
        """The true relevance, 0 to 1, of pins to people, as (m,) numbers or names of each, at a time (None: the clock's)."""
        who = np.array([self.number(each) if isinstance(each, str) else each for each in persons])
        what = np.array([self.place(each) if isinstance(each, str) else each for each in pins])
        day = self.scene.times.day_of(np.full(len(who), self.clock if at is None else at))
        return relevance(self.scene, who, what, day)[0]

    def best(self, person: str, k: int = 10, at: int | None = None) -> list[str]:
        """The pins that are out and of the greatest true relevance to a person: what no recommender can beat."""
        everything = np.arange(len(self.pins))
        found = self.relevance([self.number(person)] * len(everything), everything, at)
        day = self.scene.times.day_of(self.clock if at is None else at)
        found = np.where(self.scene.times.published <= day, found, -1)
        return [self.pins[place] for place in np.lexsort((everything, -found))[:k]]

    def examination(self, surface: str, row: int, column: int) -> float:
        """The true chance that a slot is looked at."""
        return float(examination(np.array(_numbered(surface)), row, column))

    def busy(self, region: int) -> Float64:
        """(24,) the true shares of a day's visits by UTC hour in a region, a number of `REGIONS`."""
        return hour_shares(region)

    def held_out(self, person: str, pin: str) -> bool:
        """Whether the person must not be shown the pin, because its merchant's holdout has them."""
        campaign = self.scene.shops.campaign_of(np.array([self.place(pin)]))
        return bool(self.scene.shops.held_out(np.array([self.number(person)]), campaign)[0])

    def keeps_out(self, person: str) -> bool:
        """Whether the person's consent keeps what they do out of the record in the end."""
        return bool(unseen(self.scene, np.array([self.number(person)]))[0])

    # -- changing --------------------------------------------------------------------------------------------------
    def publish(self, pins: Sequence[str], at: int) -> None:
        """Let pins come out at a time, as a schedule would have it."""
        day = self.scene.times.day_of(at)
        self.scene.times.published[[self.place(pin) for pin in pins]] = day

    def attack(self, count: int = 3000, *, at: int | None = None, minutes: float = 60) -> attacks.Attack:
        """A bulk attack: `count` near-duplicates of a few pins, put up within the minutes by a few accounts, for their site.

        From then on the world knows those pins, and knows that they are spam. Its records are for `index.add`.
        """
        when = self.clock if at is None else at
        made = attacks.make_attack(self.scene, count, when, minutes)
        day = float(self.scene.times.day_of(when))
        first = len(self.scene.pins)
        self.scene = with_look_alikes(self.scene, made.ids, made.sources, made.site, day)
        self._places |= {name: first + at for at, name in enumerate(made.ids)}
        if self._book is not None:
            self._book.grow(self.scene)
        return made

    # -- names -----------------------------------------------------------------------------------------------------
    def number(self, person: str) -> int:
        """The number of a person's key. Raises UnknownNameError."""
        start = f"{PREFIX}{self.settings.seed}-"
        tail = person.removeprefix(start)
        if person.startswith(start) and tail.isdecimal() and int(tail) < self.settings.people:
            return int(tail)
        raise UnknownNameError("simulated person", person[:80], [], f"Their keys are {start}000000 and on")

    def place(self, pin: str) -> int:
        """The place of a pin's id. Raises UnknownNameError."""
        return _of(self._places, pin, "pin of this world")


def _of(places: Mapping[str, int], name: str, what: str) -> int:
    found = places.get(name)
    if found is None:
        raise UnknownNameError(what, name[:200], [], "A world knows what its index held when it was made")
    return found


def _numbered(surface: str) -> int:
    if surface not in SURFACES:
        raise UnknownNameError("surface", surface, SURFACES)
    return SURFACES.index(surface)
