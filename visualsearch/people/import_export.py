"""Tables in and out: people, boards, saves, follows and events, resumable, bad rows listed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from visualsearch.errors import UnknownNameError, UsageError, VisualSearchError

from . import parts as disk
from .boards import Boards
from .bulk import Bulk, days_of
from .bulk_follows import BulkFollows
from .bulk_saves import BulkSaves, plain_row
from .derived import EXPORT, Deriving, Listed, export_tables
from .folk import Folk
from .model import PinRef
from .persons import LONGEST_WORD, Persons
from .schema import imports
from .tables import BadRow, Batch, ahead, batches, fingerprint, texts, times

MOST_BAD = 1000
"""So many bad rows are listed; all are counted."""
SYNONYMS: Mapping[str, Sequence[str]] = {
    "person": ("person", "user", "user_id", "person_id", "uid", "owner"),
    "pin": ("pin", "pin_id", "item", "item_id", "product", "iid"),
    "at": ("at", "time", "timestamp", "ts", "date", "created_at"),
    "kind": ("kind", "event", "type", "action", "event_type"),
    "event_id": ("event_id", "id", "uuid"),
    "board": ("board", "board_id", "list", "collection"),
    "row": ("row", "slot_row"),
    "column": ("column", "slot_column"),
    "slot": ("slot", "position"),
    "session": ("session", "session_id"),
    "title": ("title", "board", "name"),
    "target": ("target", "followed", "followee"),
}
FIELDS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "events": (
        ("person", "kind", "at"),
        ("event_id", "pin", "session", "surface", "answer", "slot", "row", "column", "variant", "propensity",
         "dwell_ms", "board", "value", "currency", "site"),
    ),
    "saves": (("person", "pin", "board"), ("at", "section", "note", "site")),
    "boards": (("person", "title"), ("description", "kind", "ends", "secret")),
    "follows": (("person", "kind", "target"), ("at",)),
    "people": (("person",), ("locale", "region", "age_band", "gender", "interests", "device")),
}  # fmt: skip
"""What can be imported: the columns each needs, and those it may have."""


@dataclass
class ImportReport:
    """What became of a file. Counts are rows; `refused` were kept out by consent; `bad` lists the first thousand bad rows."""

    file: str
    what: str
    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    failed: int = 0
    unknown_pins: int = 0
    skipped: int = 0
    seconds: float = 0.0
    bad: list[BadRow] = field(default_factory=list)

    def note(self, rows: Sequence[BadRow]) -> None:
        """Count bad rows, and list the first."""
        self.failed += len(rows)
        self.bad += rows[: max(0, MOST_BAD - len(self.bad))]


class ImportExport(Bulk, Deriving, BulkSaves, BulkFollows, Boards, Persons):
    """`import_file` and `export_all`."""

    def import_file(
        self,
        path: str | Path,
        what: str | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        dates: str | None = None,
        constants: Mapping[str, str] | None = None,
        progress: Callable[[ImportReport], None] | None = None,
    ) -> ImportReport:
        """Import a CSV, TSV, JSONL (each may be .gz) or Parquet file of events, saves, boards, follows or people.

        `what` is guessed from the columns. `columns` maps a field to the file's column, `constants` a field to one value for all
        rows; `dates` is a `strptime` form. Stopped, it goes on after the last batch that is on disk. Events without
        `event_id` are named by the file and their row. Pins that the index lacks are kept and counted.
        Raises SourceError, UsageError.
        """
        path, started = Path(path), time.perf_counter()
        key, folk = "", Folk()
        report = ImportReport(str(path), what or "")
        done = 0
        for batch in ahead(batches(path)):
            if not key:
                found = {**_mapped(batch, columns or {}), **(constants or {})}
                report.what = what or _guess(found, batch)
                self._complete(report.what, found)
                key = f"{report.what}:{fingerprint(path)}"
                done = report.skipped = self._imported(key)
            report.rows += len(batch) + len(batch.bad)
            if report.rows > done:
                report.note(batch.bad)
                mapped = _renamed(batch, columns or {}, constants or {}, report.what)
                self._take(report, mapped, dates, key, folk)
            if progress is not None:
                progress(report)
        report.seconds = time.perf_counter() - started
        return report

    def _complete(self, what: str, found: Mapping[str, str]) -> None:
        if what not in FIELDS:
            raise UnknownNameError("kind of import", what, FIELDS)
        missing = [name for name in FIELDS[what][0] if name not in found]
        if missing:
            raise UsageError(
                f"cannot import {what}",
                f"no column for {', '.join(missing)}",
                f"Name it: --column {missing[0]}=COLUMN, or give all rows one value: --set {missing[0]}=VALUE",
            )

    def _imported(self, key: str) -> int:
        with self.store.read() as db:
            return int(db.execute(select(imports.c.rows).where(imports.c.file == key)).scalar() or 0)

    def _take(self, report: ImportReport, batch: Batch, dates: str | None, key: str, folk: Folk) -> None:
        mark = {"file": key, "rows": report.rows, "finished": False, "at": self.now()}

        def finish(db: Connection) -> None:
            self.store.upsert(db, imports, mark)

        if report.what == "events":
            counts = self.take_events(batch, dates, key.partition(":")[2], finish, folk)
            report.accepted += counts.accepted
            report.duplicates += counts.duplicates
            report.refused += counts.refused
            report.unknown_pins += counts.unknown_pins
            report.note(counts.bad)
            return
        waiting: list[tuple[int, Future[Any]]] = []
        many: list[tuple[int, Mapping[str, Any]]] = []
        for line, row in _rows(batch, dates, report):
            if report.what == "follows" or (report.what == "saves" and plain_row(row)):
                many.append((line, row))
                continue
            try:
                waiting.append((line, self.store.writer.submit(self._work(report, row))))
            except VisualSearchError as error:
                report.note([BadRow(line, str(error))])
        for line, future in waiting:
            try:
                report.accepted += bool(future.result())
            except VisualSearchError as error:
                report.note([BadRow(line, str(error))])
        if report.what == "follows":
            accepted, bad = self.take_follows(many)
        else:
            accepted, unknown, bad = self.take_saves(many)
            report.unknown_pins += unknown
        report.accepted += accepted
        report.note(bad)
        self.store.write(finish)

    def _work(self, report: ImportReport, row: Mapping[str, Any]) -> Callable[[Connection], Any]:
        if report.what == "saves":
            ref = self.pins.find([row["pin"]]).get(row["pin"])
            report.unknown_pins += ref is None
            options = {name: row[name] for name in ("section", "note", "site", "at") if row.get(name)}
            return self.saving(
                row["person"], ref or PinRef(None, row["pin"]), board=row["board"], record=False, **options
            )
        if report.what == "boards":
            values = {name: row[name] for name in ("description", "kind", "ends") if row.get(name)}
            secret = str(row.get("secret") or "").lower() in ("1", "true", "yes", "t")
            return self.boarding(row["person"], row["title"], secret=secret, **values)
        declared = {name: row[name] for name in FIELDS["people"][1] if row.get(name)}
        if "interests" in declared:
            declared["interests"] = _words(declared["interests"])
        return self.declaring(row["person"], **declared)

    # -- out -------------------------------------------------------------------------------------------------------
    def export_all(self, folder: str | Path) -> dict[str, int]:
        """Write every table as Parquet, and the events day by day, for Spark, DuckDB or a notebook; rows by table.

        `person` is the pseudonym's number; `people.parquet` has its name. Secret boards are in it: it is the owner's copy.
        Who is forgotten later leaves it too, while it stays in its place. What an earlier export wrote into the folder is deleted
        first: `files.txt` there lists it. Other files stay.
        """
        import pyarrow.parquet as pq

        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        known = (place.absolute(), EXPORT) in self.derived()
        self.track(place, EXPORT)
        listed = Listed(place)
        listed.clear(known)
        counts = export_tables(self.store, place)
        for name, count in counts.items():
            if count:
                listed.add(f"{name}.parquet")
        counts["events"] = 0
        for number, (day, table) in enumerate(self._event_tables()):
            target = listed.add(f"{disk.FOLDER}/{day}/{number:06d}.parquet")
            pq.write_table(table, target, compression="zstd")
            counts["events"] += len(table)
        return counts

    def _event_tables(self) -> Iterator[tuple[str, Any]]:
        """All events as Arrow tables, each of one day."""
        with self.upkeep():
            for part in self.part_files():
                yield from days_of(disk.read_part(self.store.folder, part.file))
            yield from self.open_tables()


def _mapped(batch: Batch, columns: Mapping[str, str]) -> dict[str, str]:
    """Field -> column of the file, as named by the user or known by its name."""
    for name, column in columns.items():
        if column not in batch.columns:
            raise UnknownNameError("column", column, batch.columns, f"It was named for `{name}`")
    folded = {name.casefold(): name for name in batch.columns}
    every = {name for needed, may in FIELDS.values() for name in (*needed, *may)}
    found = {}
    for name in every:
        for known in SYNONYMS.get(name, (name,)):
            if known in folded:
                found[name] = folded[known]
                break
    return found | dict(columns)


def _guess(found: Mapping[str, str], batch: Batch) -> str:
    """The first kind of table whose columns are all there."""
    for what in ("events", "saves", "follows", "boards", "people"):
        if all(name in found for name in FIELDS[what][0]):
            return what
    raise UsageError(
        "cannot tell what the file holds",
        f"its columns are {', '.join(list(batch.columns)[:20]) or 'none'}",
        "Say it: --as events (or saves, boards, follows, people), and name columns: --column person=user",
    )


def _renamed(batch: Batch, columns: Mapping[str, str], constants: Mapping[str, str], what: str) -> Batch:
    """The batch with the fields' names, and the constant fields."""
    import pyarrow as pa

    found = _mapped(batch, columns)
    wanted = {name for part in FIELDS[what] for name in part}
    kept = {name: batch.columns[column] for name, column in found.items() if name in wanted}
    for name, value in constants.items():
        if name not in wanted:
            raise UnknownNameError("field", name, wanted)
        kept[name] = pa.array([value], pa.string()).take(pa.array([0] * len(batch), pa.int32()))
    return Batch(kept, batch.lines)


def _rows(batch: Batch, dates: str | None, report: ImportReport) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with text in every field and a number in `at` and `ends`; rows without a needed value are noted."""
    values: dict[str, list[Any]] = {}
    wrong: dict[int, str] = {}
    for name, column in batch.columns.items():
        if name in ("at", "ends"):
            turned, bad = times(column, dates)
            values[name] = turned.to_pylist()
            wrong.update(dict.fromkeys(bad, f"`{name}` is no time"))
        else:
            values[name] = texts(column).to_pylist()
    needed = FIELDS[report.what][0]
    for at, line in enumerate(batch.lines):
        row = {name: column[at] for name, column in values.items()}
        empty = next((name for name in needed if not row.get(name)), None)
        if at in wrong or empty:
            report.note([BadRow(line, wrong.get(at) or f"`{empty}` is empty")])
        else:
            yield line, row


def _words(text: str) -> list[str]:
    """Interests of one cell: a JSON list, or words with commas or bars between."""
    if text.lstrip().startswith("["):
        try:
            return [str(word) for word in json.loads(text)]
        except ValueError:
            pass
    return [word.strip()[:LONGEST_WORD] for word in text.replace("|", ",").split(",") if word.strip()]
