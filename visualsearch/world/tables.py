"""Days of a world as Arrow tables, with the columns that `people import` reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.people import BoardKind, Event
from visualsearch.types import Bool, Int64

from .boards import Boards, Follows
from .bursts import site_name
from .generator import unseen
from .population import AGE_BANDS, FOREVER, REGIONS, Population
from .rows import KINDS, NAMES, VARIANTS, Rows, chosen
from .saving import NOTES, SPAM_NOTES, Saves
from .scene import Scene
from .settings import DAY_MS, PREFIX, person_key
from .shops import CURRENCY

LOCALES = ("en", "de", "fr", "en-US", "ja")
"""Locales by region."""
DEVICES = ("phone", "desktop", "tablet")


def keys_of(scene: Scene) -> Callable[[int], str]:
    """From a person's number to their key."""
    seed = scene.settings.seed
    return lambda number: person_key(seed, number)


def day_name(scene: Scene, day: int) -> str:
    """The date of a day."""
    first = datetime.fromtimestamp(scene.settings.begins / 1000, UTC)
    return (first + timedelta(days=day)).strftime("%Y-%m-%d")


def event_id(scene: Scene, day: int, number: int) -> str:
    """The name of an event: its day, and its place in it."""
    return f"{PREFIX}{scene.settings.seed}-{day}-{number}"


def answer_name(scene: Scene, number: int) -> str:
    """The name of a served list."""
    return f"{PREFIX}{scene.settings.seed}-a{number}"


def _named(values: Any, name: Callable[[int], str | None]) -> Any:
    """Whole numbers as a dictionary column of their names; negative ones are null."""
    import pyarrow as pa

    found, at = np.unique(values, return_inverse=True)
    words = [name(int(value)) if value >= 0 else None for value in found]
    places: dict[
        str, int
    ] = {}  # each word once: of a dictionary that repeats one, Parquet does not always write the same bytes
    code = np.array(
        [-1 if word is None else places.setdefault(word, len(places)) for word in words], np.int32
    )
    rows = code[at] if len(code) else np.empty(0, np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(rows, mask=rows < 0), pa.array(list(places), pa.string()))


def _numbers(values: Any, kind: Any) -> Any:
    import pyarrow as pa

    return pa.array(values, kind, mask=np.isnan(values) if values.dtype.kind == "f" else values < 0)


def _times(at: Int64) -> Any:
    import pyarrow as pa

    return pa.array(at).cast(pa.timestamp("ms", "UTC"))


def events_table(scene: Scene, day: int, events: Rows) -> Any:
    """A day's events as they are imported: without those of people whose consent keeps them out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    order = np.flatnonzero(~unseen(scene, events["person"]))
    rows = chosen(events, order)
    start = pa.scalar(f"{PREFIX}{scene.settings.seed}-{day}-")
    ids = pc.binary_join_element_wise(start, pa.array(order).cast(pa.string()), "")
    bought = rows["kind"] == KINDS.index("purchase")
    columns = {
        "event_id": ids if len(order) else pa.array([], pa.string()),
        "person": _named(rows["person"], keys_of(scene)),
        "kind": _named(rows["kind"], KINDS.__getitem__),
        "at": _times(rows["at"]),
        "pin": _named(rows["pin"], scene.pins.ids.__getitem__),
        "session": _named(rows["session"], lambda n: f"d{n >> 32}-{n & 0xFFFFFFFF}"),
        "surface": _named(rows["surface"], lambda n: NAMES[n]),
        "answer": _named(rows["answer"], lambda n: answer_name(scene, n)),
        "slot": _numbers(rows["slot"], pa.int32()),
        "row": _numbers(rows["row"], pa.int32()),
        "column": _numbers(rows["column"], pa.int32()),
        "variant": _named(rows["variant"], VARIANTS.__getitem__),
        "propensity": _numbers(rows["propensity"], pa.float64()),
        "dwell_ms": _numbers(rows["dwell"], pa.int64()),
        "value": _numbers(rows["value"], pa.float64()),
        "currency": _named(np.where(bought & ~np.isnan(rows["value"]), 0, -1), lambda _: CURRENCY),
        "site": _named(rows["site"], lambda n: site_name(scene, n)),
    }
    return pa.table(columns)


def seen_saves(scene: Scene, saves: Saves) -> Int64:
    """Which saves are in the record."""
    return np.flatnonzero(~unseen(scene, saves.person))


def note_text(number: int) -> str:
    """The words of a note."""
    return SPAM_NOTES[number - 100] if number >= 100 else NOTES[number]


def section_title(boards: Boards, person: int, column: int) -> str | None:
    """The title of the section of an interest."""
    row = boards.sections[person]
    return (row[column] or None) if row and column >= 0 else None


def saves_table(scene: Scene, saves: Saves) -> Any:
    """Saves as they are imported. `repin_person` and `repin_board` say from whose board a pin was taken."""
    import pyarrow as pa

    at = seen_saves(scene, saves)
    boards = scene.boards
    sections = [
        section_title(boards, who, column)
        for who, column in zip(saves.person[at].tolist(), saves.section[at].tolist(), strict=True)
    ]
    return pa.table(
        {
            "person": _named(saves.person[at], keys_of(scene)),
            "pin": _named(saves.pin[at], scene.pins.ids.__getitem__),
            "board": _named(saves.board[at], boards.title.__getitem__),
            "at": _times(saves.at[at]),
            "section": pa.array(sections, pa.string()),
            "note": _named(saves.note[at], note_text),
            "site": _named(saves.site[at], lambda n: site_name(scene, n)),
            "repin_person": _named(saves.source_person[at], keys_of(scene)),
            "repin_board": _named(saves.source_board[at], boards.title.__getitem__),
        }
    )


def board_options(scene: Scene, number: int) -> dict[str, Any]:
    """Kind, end and secrecy of a board."""
    boards = scene.boards
    project = bool(boards.project[number])
    planned = scene.settings.begins + int(boards.ends[number] * DAY_MS) if project else None
    kind = BoardKind.PROJECT if project else BoardKind.INTEREST
    return {"kind": kind.value, "ends": planned, "secret": bool(boards.secret[number])}


def boards_table(scene: Scene, used: Bool) -> Any:
    """The boards that hold something."""
    import pyarrow as pa

    at = np.flatnonzero(used)
    options = [board_options(scene, number) for number in at.tolist()]
    return pa.table(
        {
            "person": _named(scene.boards.owner[at], keys_of(scene)),
            "title": pa.array([scene.boards.title[number] for number in at.tolist()], pa.string()),
            "kind": pa.array([each["kind"] for each in options], pa.string()),
            "ends": pa.array([each["ends"] for each in options], pa.int64()).cast(pa.timestamp("ms", "UTC")),
            "secret": pa.array(["true" if each["secret"] else "false" for each in options], pa.string()),
        }
    )


def seen_follows(scene: Scene, follows: Follows) -> Int64:
    """Which follows are in the record: both people let it be kept."""
    hidden = unseen(scene, follows.person) | (
        (follows.whom >= 0) & unseen(scene, np.maximum(follows.whom, 0))
    )
    return np.flatnonzero(~hidden)


def follow_target(scene: Scene, whom: int, topic: int) -> tuple[str, str]:
    """Kind and target of a follow."""
    if topic >= 0:
        return "topic", scene.tastes.cluster_names[topic]
    return "person", person_key(scene.settings.seed, whom)


def follows_table(scene: Scene, follows: Follows) -> Any:
    """Follows as they are imported; `since` is for the truth, for a follow counts from when it is recorded."""
    import pyarrow as pa

    at = seen_follows(scene, follows)
    targets = [
        follow_target(scene, whom, topic)
        for whom, topic in zip(follows.whom[at].tolist(), follows.topic[at].tolist(), strict=True)
    ]
    days = scene.settings.begins + (follows.day[at].astype(np.float64) * DAY_MS).astype(np.int64)
    return pa.table(
        {
            "person": _named(follows.person[at], keys_of(scene)),
            "kind": pa.array([kind for kind, _ in targets], pa.string()),
            "target": pa.array([target for _, target in targets], pa.string()),
            "since": _times(days),
        }
    )


def profile(scene: Scene, person: int) -> dict[str, Any]:
    """What a person declared: nobody is made to, and about half say what they like."""
    people = scene.people
    words = [scene.tastes.names[taste] for taste in people.taste[person].tolist() if taste >= 0]
    said = sorted({word for word in words[:2] if word}) if person % 2 else []
    region = int(people.region[person])
    found: dict[str, Any] = {"locale": LOCALES[region], "device": DEVICES[person % 7 // 3]}
    if person % 10 < 8:
        found["region"] = REGIONS[region]
    if person % 10 < 7:
        found["age_band"] = AGE_BANDS[int(people.age[person])]
    if said:
        found["interests"] = said
    return found


def people_table(scene: Scene) -> Any:
    """The people of whom anything is kept, and what they declared."""
    import pyarrow as pa

    at = np.flatnonzero(~unseen(scene, np.arange(len(scene.people)))).tolist()
    found = [profile(scene, person) for person in at]
    columns: dict[str, Any] = {
        "person": pa.array([person_key(scene.settings.seed, p) for p in at], pa.string())
    }
    for name in ("locale", "region", "age_band", "device"):
        columns[name] = pa.array([each.get(name) for each in found], pa.string())
    columns["interests"] = pa.array(
        [", ".join(each.get("interests", ())) or None for each in found], pa.string()
    )
    return pa.table(columns)


def interests_table(scene: Scene, planned: Any) -> Any:
    """What people truly like, for the truth; `planned` (n, 6) is when interests were to end before anybody bought anything."""
    import pyarrow as pa

    people: Population = scene.people
    who, column = np.nonzero(people.taste >= 0)
    ends, meant = people.ends[who, column], planned[who, column]
    taste = people.taste[who, column]
    local = people.board[who, column]
    boards = scene.boards.of(who, local)
    kinds = ("leisure", "project", "dream")
    return pa.table(
        {
            "person": _named(who, keys_of(scene)),
            "interest": pa.array(column),
            "taste": pa.array(taste),
            "cluster": pa.array(scene.tastes.cluster_of[taste]),
            "name": _named(taste, lambda n: scene.tastes.names[n] or None),
            "kind": _named(people.kind[who, column], kinds.__getitem__),
            "strength": pa.array(people.strength[who, column]),
            "likes": pa.array(people.likes[who, column]),
            "begins_day": pa.array(people.begins[who, column]),
            "ends_day": pa.array(ends, mask=ends >= FOREVER),
            "planned_end_day": pa.array(meant, mask=meant >= FOREVER),
            "bought": pa.array(
                (ends < meant).astype(np.int8)
            ),  # Parquet pads bits with whatever lies in memory
            "board": _named(boards, scene.boards.title.__getitem__),
        }
    )


def write(path: Path, table: Any) -> None:
    """A Parquet file that has the same bytes for the same rows."""
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", compression_level=1, row_group_size=262_144)


class Stream:
    """A Parquet file that grows table by table."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self.rows = path, 0
        self._writer: Any = None

    def add(self, table: Any) -> None:
        """Add rows. The first table says which columns there are."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        plain = pa.table(
            {
                name: column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
                for name, column in zip(table.column_names, table.columns, strict=True)
            }
        )
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, plain.schema, compression="zstd", compression_level=1)
        if len(plain):
            self._writer.write_table(plain.cast(self._writer.schema))
        self.rows += len(plain)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()


def event_list(
    scene: Scene,
    rows: Rows,
    *,
    order: Int64 | None = None,
    answer: str | None = None,
    session: str | None = None,
    variant: str | None = None,
) -> list[Event]:
    """Rows as events. `order` gives the slots' own numbers; `answer`, `session`, `variant` replace what the rows say."""
    columns = zip(*(column.tolist() for column in rows.values()), strict=True)
    given = {"answer": answer, "session": session, "variant": variant}
    return [_event(scene, dict(zip(rows, values, strict=True)), order, given) for values in columns]


def _event(scene: Scene, row: dict[str, Any], order: Int64 | None, given: dict[str, str | None]) -> Event:
    slot = None if row["slot"] < 0 else row["slot"] if order is None else int(order[row["slot"]])
    key = f"{PREFIX}{scene.settings.seed}-{row['at']}-{row['person']}-{row['pin']}-{row['kind']}"
    place: dict[str, Any] = {}
    if slot is not None:
        usual = VARIANTS[row["variant"]] if row["variant"] >= 0 else None
        place = {
            "answer": given["answer"] or answer_name(scene, row["answer"]),
            "slot": slot,
            "row": row["row"],
            "column": row["column"],
            "variant": given["variant"] or usual,
        }
    sold = not np.isnan(row["value"])
    return Event(
        KINDS[row["kind"]],
        person_key(scene.settings.seed, row["person"]),
        scene.pins.ids[row["pin"]],
        row["at"],
        f"{key}-{slot}",
        session=given["session"],
        surface=NAMES[row["surface"]],
        propensity=None if np.isnan(row["propensity"]) else row["propensity"],
        dwell_ms=None if row["dwell"] < 0 else row["dwell"],
        value=row["value"] if sold else None,
        currency=CURRENCY if sold else None,
        site=site_name(scene, row["site"]),
        **place,
    )
