"""Experiments in the record: their rows, who met them, and what these people did. What it means is not decided here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from visualsearch.errors import ConsentError, UnknownNameError

from . import parts as disk
from .days import Days, steadily
from .events import LONGEST, deed, refusal
from .judged import dishonest, honest
from .lists import list_rows
from .model import ConsentLevel, pseudonym_text
from .parts import day_of
from .persons import by_numbers, find, storing
from .schema import events, experiments, exposures, parts
from .store import among

Row = dict[str, Any]
DECLARED = ("locale", "region", "age_band", "gender", "device")
"""Fields of a profile by which people may be told apart in a report."""
_JSON = ("plan", "ramps")
_COLUMNS = (
    *("person", "at", "kind", "pin_id", "session", "answer", "variant", "dwell_ms", "value", "currency"),
    *("surface", "slot", "slot_row", "slot_column", "propensity"),
)


class Exposures(NamedTuple):
    """Who met an experiment, (n,) each: person's number (int64), the session's label or "", the arm, when first (ms)."""

    person: NDArray[np.int64]
    unit: Sequence[str]
    arm: Sequence[str]
    at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.person)


class EventColumns(NamedTuple):
    """Events as columns, (n,) each. Texts are codes into `names`: column -> texts; -1 where there is none.

    `dwell` is -1 and `value` is 0 where the event has none.
    `numbers` has `slot`, `slot_row` and `slot_column` (-1), and `propensity` (NaN).
    """

    person: NDArray[np.int64]
    at: NDArray[np.int64]
    dwell: NDArray[np.int64]
    value: NDArray[np.float64]
    codes: Mapping[str, NDArray[np.int64]]
    names: Mapping[str, Sequence[str]]
    numbers: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.person)

    def code(self, column: str, name: str) -> int:
        """The code of a text; -2 where no event has it."""
        names = self.names[column]
        return names.index(name) if name in names else -2


class Trials(Days):
    """Rows of experiments, exposures, and the events of those who were exposed."""

    def experiment_rows(self) -> list[Row]:
        """Every version of every experiment, oldest first."""
        with self.store.read() as db:
            return _rows(db)

    def change_experiments(self, change: Callable[[list[Row]], Sequence[Row]]) -> list[Row]:
        """Change experiments in one transaction that no other change overlaps: `change(all rows)` gives the rows to write.

        What `change` raises, the caller gets, and nothing is written. It may run twice.
        """

        def work(db: Connection) -> list[Row]:
            if not self.store.sqlite:
                db.exec_driver_sql('LOCK TABLE "experiments" IN SHARE ROW EXCLUSIVE MODE')
            made = [dict(row) for row in change(_rows(db))]
            for row in made:
                plain = {**row, **{name: json.dumps(row[name], ensure_ascii=False) for name in _JSON}}
                self.store.upsert(db, experiments, plain)
            return made

        changed: list[Row] = self.store.write(work)
        return changed

    # -- exposures -------------------------------------------------------------------------------------------------
    def exposing(
        self,
        experiment: int,
        person: str,
        unit: str,
        choose: Callable[[str], str | None],
        make: bool = True,
    ) -> Callable[[Connection], str | None]:
        """The work of logging an exposure, for the writing thread; it gives the arm.

        `choose(pseudonym)` names the arm, or None for somebody outside. The first exposure counts: the arm of an earlier one
        stays. It leaves an event `exposure`. Nothing is stored, and None given, where the person's consent keeps impressions out,
        where the experiment does not run, and for somebody unknown unless `make`.
        """

        def work(db: Connection) -> str | None:
            columns = (experiments.c.state, experiments.c.name)
            found = db.execute(select(*columns).where(experiments.c.experiment == experiment)).first()
            if found is None or found.state != "running":
                return None
            known = find(db, [person]).get(person)
            if not make if known is None else refusal(known, "impression"):
                return None
            try:
                known = storing(db, self.store, person, self.now())
            except ConsentError:
                return None
            key = (exposures.c.experiment == experiment) & (exposures.c.person == known.number)
            held = select(exposures.c.arm).where(key, exposures.c.unit == unit)
            met: str | None = db.execute(held).scalar()
            arm = met or choose(pseudonym_text(known.number))
            if arm is not None and met is None:
                now = self.now()
                self.store.insert(db, exposures, [(experiment, known.number, unit, arm, now)])
                said = f"{found.name}:{arm}"[:LONGEST]
                deed(db, self.store, known, "exposure", now, None, variant=said, session=unit or None)
            return arm

        return work

    def exposures(self, experiment: int) -> Exposures:
        """Who met an experiment. People who allow nothing any more, or are under a verdict, are left out."""
        columns = [exposures.c[name] for name in ("person", "unit", "arm", "at")]
        with self.store.read() as db:
            rows = db.execute(
                select(*columns)
                .where(exposures.c.experiment == experiment, honest(exposures.c.person))
                .order_by(exposures.c.person, exposures.c.unit)
            ).all()
        return Exposures(
            np.array([row[0] for row in rows], np.int64),
            [row[1] for row in rows],
            [row[2] for row in rows],
            np.array([row[3] for row in rows], np.int64),
        )

    def pseudonyms(self, persons: NDArray[np.int64]) -> list[str]:
        """The pseudonyms of persons' numbers."""
        return [pseudonym_text(int(number)) for number in persons]

    def declared(self, field: str, persons: NDArray[np.int64]) -> list[str | None]:
        """What each of the persons declared in a field of `DECLARED`, None where they did not or turned `profile` off.

        Raises UnknownNameError.
        """
        if field not in DECLARED:
            raise UnknownNameError("field", field, DECLARED)
        wanted = [int(number) for number in persons]
        with self.store.read() as db:
            rows = among(db, f"SELECT person, {field} FROM people WHERE person", sorted(set(wanted)))
            closed = {
                known.number
                for known in by_numbers(db, sorted(set(wanted)))
                if not known.consent.profile or known.consent.level == ConsentLevel.OFF
            }
        said = {row[0]: row[1] for row in rows if row[0] not in closed}
        return [said.get(number) for number in wanted]

    # -- deeds -----------------------------------------------------------------------------------------------------
    def event_columns(
        self,
        since: int,
        until: int,
        persons: NDArray[np.int64] | None = None,
        kinds: Collection[str] = (),
        variant: str = "",
        lists: bool = False,
    ) -> EventColumns:
        """The events from `since` to before `until` (ms) as columns, of closed and open days.

        `persons` leaves out everybody else, `kinds` other kinds, `variant` events whose variant does not begin so. With
        `lists`, served lists are among them, as rows of the kinds `people.lists.COSTS`.
        Events of people under a verdict are left out, for as long as it holds, hides or removes them.
        """
        return steadily(lambda: self._event_columns(since, until, persons, kinds, variant, lists))

    def _event_columns(
        self,
        since: int,
        until: int,
        persons: NDArray[np.int64] | None,
        kinds: Collection[str],
        variant: str,
        lists: bool,
    ) -> EventColumns:
        import pyarrow as pa

        schema = pa.schema([disk.arrow_schema().field(name) for name in _COLUMNS])
        chosen = select(*(events.c[name] for name in _COLUMNS)).where(
            events.c.at >= since, events.c.at < until, honest(events.c.person)
        )
        if kinds:
            chosen = chosen.where(events.c.kind.in_(list(kinds)))
        if variant:
            chosen = chosen.where(events.c.variant.startswith(variant, autoescape=True))
        with self.store.read() as db:  # one state: a day that is closed meanwhile is read once
            rows = db.execute(chosen).all()
            costs = (
                list_rows(db, since, until, None if persons is None else persons.tolist()) if lists else ()
            )
            held = (parts.c.day <= day_of(max(since, until - 1))) & (parts.c.until >= day_of(since))
            files = list(db.execute(select(parts.c.file).where(held).order_by(parts.c.file)).scalars())
            shut = list(db.execute(dishonest()).scalars())
        columns = zip(*rows, strict=True) if rows else ([] for _ in _COLUMNS)
        arrays = [pa.array(list(column), each.type) for column, each in zip(columns, schema, strict=True)]
        tables = [_only(pa.table(arrays, schema), since, until, persons, (), "", [])]
        for file in files:
            table = disk.read_part(self.store.folder, file, _COLUMNS).cast(schema)
            tables.append(_only(table, since, until, persons, kinds, variant, shut))
        if costs:
            tables.append(_only(_costs(costs, schema), since, until, None, (), "", shut))
        return _columns(pa.concat_tables(tables))


def _rows(db: Connection) -> list[Row]:
    found = []
    for row in db.execute(select(experiments).order_by(experiments.c.experiment)):
        values = dict(row._mapping)
        found.append({**values, **{name: json.loads(values[name]) for name in _JSON}})
    return found


def _only(
    table: Any,
    since: int,
    until: int,
    persons: NDArray[np.int64] | None,
    kinds: Collection[str],
    variant: str,
    shut: Sequence[int],
) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    at = table.column("at").cast(pa.int64())
    held = pc.and_(pc.greater_equal(at, since), pc.less(at, until))
    if persons is not None:
        held = pc.and_(held, pc.is_in(table.column("person"), value_set=pa.array(persons, pa.int64())))
    if shut:
        held = pc.and_(
            held, pc.invert(pc.is_in(table.column("person"), value_set=pa.array(shut, pa.int64())))
        )
    if kinds:
        held = pc.and_(held, pc.is_in(table.column("kind"), value_set=pa.array(list(kinds))))
    if variant:
        held = pc.and_(held, pc.fill_null(pc.starts_with(table.column("variant"), variant), False))
    return table.filter(held)


def _costs(rows: Sequence[tuple[Any, ...]], schema: Any) -> Any:
    """Rows of `list_rows` as a table of events."""
    import pyarrow as pa

    names = ("person", "at", "session", "kind", "value")
    held = dict(zip(names, zip(*rows, strict=True), strict=True))
    nothing = [None] * len(rows)
    return pa.table([pa.array(held.get(each.name, nothing), each.type) for each in schema], schema)


def _columns(table: Any) -> EventColumns:
    import pyarrow as pa
    import pyarrow.compute as pc

    codes, names = {}, {}
    for name in ("kind", "pin_id", "session", "answer", "variant", "currency", "surface"):
        coded = table.column(name).combine_chunks().dictionary_encode()
        codes[name] = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        names[name] = coded.dictionary.to_pylist()
    return EventColumns(
        table.column("person").to_numpy(),
        table.column("at").cast(pa.int64()).to_numpy(),
        pc.fill_null(table.column("dwell_ms"), -1).to_numpy(),
        pc.fill_null(table.column("value"), 0.0).to_numpy(),
        codes,
        names,
        {
            **{
                name: pc.fill_null(table.column(name), -1).to_numpy()
                for name in ("slot", "slot_row", "slot_column")
            },
            "propensity": pc.fill_null(table.column("propensity"), float("nan")).to_numpy(),
        },
    )
