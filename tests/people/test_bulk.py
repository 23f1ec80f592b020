"""Many rows at once: their number changes how many rows a statement has, and hardly how many statements there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import event

from visualsearch.people import People, comings, ids, lookup, parts, tables

from .conftest import Clock, FakePins


@contextmanager
def statements(people: People) -> Iterator[list[str]]:
    """What the writing thread sends to the database meanwhile."""
    seen: list[str] = []

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(people.store._writing, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(people.store._writing, "before_cursor_execute", note)


def follows(path: Path, rows: list[tuple[str, str, str]], **more: list[str]) -> Path:
    columns = dict(zip(("person", "kind", "target"), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns | more), path)
    return path


def test_many_follows_are_a_few_statements(people: People, tmp_path: Path) -> None:
    path = follows(tmp_path / "f.parquet", [(f"u{n}", "person", f"u{(n + 1) % 600}") for n in range(600)])
    with statements(people) as seen:
        report = people.import_file(path)
    assert (report.accepted, report.failed) == (600, 0)
    assert len(seen) < 40
    assert people.followers("person", "u0") == 1
    assert people.follows("u599") == [("person", people.person("u0").pseudonym)]
    again = follows(tmp_path / "g.parquet", [("u5", "person", "u6"), ("u5", "person", "u7")])
    assert people.import_file(again).accepted == 1


def test_follows_keep_their_time_leave_no_event_and_name_what_is_wrong(
    people: People, tmp_path: Path
) -> None:
    people.create_board("ada", "Kitchen")
    people.create_board("ada", "Hidden", secret=True)
    hidden, kitchen = (people.board(name, viewer="ada").id for name in ("Hidden", "Kitchen"))
    people.consent("shut", "off")
    rows = [
        ("bob", "topic", " Oak "), ("bob", "board", kitchen), ("bob", "board", hidden), ("ada", "board", "Kitchen"),
        ("bob", "person", "nobody"), ("bob", "shop", "x"), ("shut", "topic", "oak"), ("bob", "person", "ada"),
    ]  # fmt: skip
    path = follows(tmp_path / "f.parquet", rows, at=["2020-01-02"] * len(rows))
    report = people.import_file(path, "follows")
    assert report.accepted == 4
    assert sorted(bad.line for bad in report.bad) == [3, 5, 6, 7]
    reasons = {bad.line: bad.reason for bad in report.bad}
    said = {3: "board", 5: "nobody", 6: "shop", 7: "off"}
    assert [line for line, word in said.items() if word not in reasons[line]] == []
    assert {(each.kind, each.at) for each in people.followed("bob")} == {
        ("topic", 1_577_923_200_000), ("board", 1_577_923_200_000), ("person", 1_577_923_200_000),
    }  # fmt: skip
    assert ("topic", "oak") in people.follows("bob")
    assert people.events_of("bob") == []


def saved(people: People, path: Path, count: int) -> None:
    rows = {
        "person": [f"u{n % 9}" for n in range(count)],
        "pin": [f"lost-{n}" for n in range(count)],
        "board": ["B"] * count,
    }
    pq.write_table(pa.table(rows), path)
    assert people.import_file(path, "saves").accepted == count


def test_pins_that_leave_and_come_back_are_compared_many_at_a_time(
    people: People, pins: FakePins, tmp_path: Path
) -> None:
    saved(people, tmp_path / "s.parquet", 1200)
    people.save("u0", "pin-1", board="B")
    with statements(people) as seen:
        assert people.reconcile() == {"gone": 1200, "restored": 0}
    assert len(seen) < 40
    for n in range(1200):
        pins.add(f"lost-{n}", 1000 + n)
    with statements(people) as seen:
        assert people.reconcile() == {"gone": 0, "restored": 1200}
    assert len(seen) < 60
    back = people.saves_of("lost-7")
    assert [(save.number, save.gone) for save in back] == [(1007, False)]


def test_small_pages_find_the_same(
    people: People, pins: FakePins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comings, "PAGE", 3)
    saved(people, tmp_path / "s.parquet", 20)
    for who in range(8):  # more saves of one pin than a page has rows
        people.save(f"p{who}", "pin-1", board="B")
    assert people.reconcile() == {"gone": 20, "restored": 0}
    del pins.held["pin-1"]
    assert people.reconcile() == {"gone": 8, "restored": 0}
    pins.add("anew", 77, b"pin-1")
    pins.add("lost-3", 78)
    assert people.reconcile() == {"gone": 0, "restored": 9}
    assert {save.pin for save in people.saves_by("p3")} == {"anew"}
    assert people.reconcile() == {"gone": 0, "restored": 0}


def test_of_two_saves_on_a_board_that_become_one_the_one_that_stayed_is_kept(
    people: People, pins: FakePins
) -> None:
    pins.add("copy", 300, b"pin-1")
    board = people.save("ada", "pin-1", board="B").board
    people.save("ada", "copy", board="B")
    del pins.held["pin-1"]
    assert people.reconcile() == {"gone": 1, "restored": 0}
    assert [save.pin for save in people.pins_of(board, gone=True)] == ["copy"]


def test_short_and_long_ids_hash_alike_in_one_block_and_alone() -> None:
    texts = ["", "a", "key-7", "é" * 20, "x" * 63, "y" * 64]
    together = ids.hashes(pa.array(texts))
    with_long = ids.hashes(pa.array([*texts, "z" * 5000]))
    assert np.array_equal(together, with_long[:-1])
    assert [int(ids.hashes(pa.array([text]))[0]) for text in texts] == together.tolist()


def test_parts_of_older_releases_are_read(lite: People, clock: Clock, tmp_path: Path) -> None:
    rows = {
        "person": ["ada"] * 3,
        "kind": ["search"] * 3,
        "at": [clock() - 5 * 86_400_000 + n for n in range(3)],
    }
    pq.write_table(pa.table(rows), tmp_path / "e.parquet")
    lite.import_file(tmp_path / "e.parquet")
    (part,) = lite.part_files()
    path = lite.store.folder / part.file
    before = lite.events_of("ada", 10)
    whole = parts.read_part(lite.store.folder, part.file)
    assert whole.column_names == list(parts.EVENT_COLUMNS)
    assert "site" not in pq.read_schema(path).names
    empty = ",".join(name for name in whole.column_names if whole.column(name).null_count == len(whole))
    pq.write_table(whole.replace_schema_metadata({parts.EMPTY: empty.encode()}), path)
    assert lite.events_of("ada", 10) == before
    assert "site" not in lookup.foot(path).columns
    lite.forget("ada")
    assert lite.part_files() == []


def test_wide_rows_are_imported_in_smaller_batches(
    lite: People, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BATCH_BYTES", 1 << 20)
    rows = 3000
    table = pa.table(
        {
            "person": ["ada"] * rows,
            "kind": ["search"] * rows,
            "at": [clock() - 86_400_000 * 5 + n for n in range(rows)],
            "site": [f"{n:0600d}" for n in range(rows)],
        }
    )
    pq.write_table(table, tmp_path / "wide.parquet")
    assert next(len(batch) for batch in tables.batches(tmp_path / "wide.parquet")) < rows
    report = lite.import_file(tmp_path / "wide.parquet", "events")
    assert report.rows == rows
