"""A catalog of every older layout becomes the present one, in one transaction, when it is first written to.

`tests/catalogs` holds what releases of the past wrote: `first` and `named` were made by the first two versions of the catalog's
code, `removals` by the last one before catalogs kept a log of changes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import LockedError, NotAnIndexError, VersionError
from visualsearch.store import Catalog, Reader, writing
from visualsearch.store.migrations import layout_of, migrate
from visualsearch.store.schema import LAYOUT

from .fakes import FakeEncoder

OLD = Path(__file__).parent / "catalogs"
LAYOUTS = {"first": 0, "named": 1, "removals": 1}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "p0": {"price": 10, "colour": "red"},
    "p1": {"price": 20.5, "colour": "blue"},
    "p2": {"price": "on request"},
    "p3": {},
    "p4": {"tags": ["new", "silk"], "sold": True},
}


def restored(name: str, folder: Path) -> Path:
    """An index as an older release left it."""
    shutil.copytree(OLD / name, folder)
    db = sqlite3.connect(folder / "catalog.sqlite")
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript((folder / "catalog.sql").read_text(encoding="utf-8"))
    db.close()
    (folder / "catalog.sql").unlink()
    return folder


def attributes_in(name: str) -> dict[str, dict[str, Any]]:
    return ATTRIBUTES | ({"p1": {"price": 30, "colour": "blue"}} if name == "removals" else {})


def opened(folder: Path) -> vs.Index:
    return vs.open(folder, FakeEncoder(dim=8))


def schema(folder: Path) -> dict[str, str]:
    """What SQLite says that each table, index and trigger is."""
    db = sqlite3.connect(folder / "catalog.sqlite")
    found = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall())
    layout = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    return {**found, "layout": layout}


def rows(folder: Path) -> dict[str, list[Any]]:
    """All rows of the tables that hold an index's content."""
    db = sqlite3.connect(folder / "catalog.sqlite")
    tables = ("pins", "regions", "dead", "segments", "names", "sources", "failures", "meta")
    found = {}
    for table in tables:
        columns = [r[1] for r in db.execute(f"PRAGMA table_info({table})") if r[1] != "named"]
        found[table] = db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
    db.close()
    return found


def written_to(folder: Path) -> None:
    """What the first command that writes does to the catalog, and nothing else."""
    with writing(folder):
        Catalog(folder).writer().close()


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_index_of_an_older_layout_is_searched_and_changed(name: str, tmp_path: Path) -> None:
    folder = restored(name, tmp_path / "x.index")
    with opened(folder) as index:
        wanted = attributes_in(name)
        assert len(index) == 5
        assert {pin: dict(index.attributes_of(pin)) for pin in wanted} == wanted
        vector = index.vectors(["p3"])
        assert index.nearest(vector, k=1)[0].ids == ["p3"]
        assert index.nearest(vector, k=9, where="price < 15")[0].ids == ["p0"]
        assert [problem.what for problem in index.verify()] == []
        index.update("p3", {"price": 1})
        assert set(index.nearest(vector, k=9, where="price < 15")[0].ids) == {"p0", "p3"}
        index.remove(["p4"])
        assert len(index) == 4
    assert schema(folder)["layout"] == LAYOUT


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_migrated_catalog_is_as_a_new_one_and_keeps_every_row(name: str, tmp_path: Path) -> None:
    folder = restored(name, tmp_path / "x.index")
    before = rows(folder)
    written_to(folder)
    Catalog.create(tmp_path, FakeEncoder(dim=8).spec)
    new, made = schema(tmp_path), schema(folder)
    assert {n: sql for n, sql in made.items() if not n.startswith("excluded")} == new
    assert rows(folder) == before
    db = sqlite3.connect(folder / "catalog.sqlite")
    assert db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'pins'").fetchone() == (6,)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()


def test_of_the_first_layout_the_pins_with_attributes_have_ids_that_were_chosen(tmp_path: Path) -> None:
    with opened(restored("first", tmp_path / "x.index")) as index:
        assert {pin: index.pin(pin).named for pin in ATTRIBUTES} == {p: p != "p3" for p in ATTRIBUTES}


def test_opening_and_searching_leave_a_readable_layout_to_the_older_release(tmp_path: Path) -> None:
    folder = restored("removals", tmp_path / "x.index")
    with opened(folder) as index:
        for _ in range(3):
            assert index.nearest(index.vectors(["p0"]), k=9, where="price < 15")[0].ids == ["p0"]
        assert schema(folder)["layout"] == 1
        index.update("p0", {"price": 99})
        assert schema(folder)["layout"] == LAYOUT
        for _ in range(3):
            assert index.nearest(index.vectors(["p0"]), k=9, where="price < 15")[0].ids == []


def test_a_reader_goes_on_while_a_writer_migrates(tmp_path: Path) -> None:
    folder = restored("named", tmp_path / "x.index")
    with opened(folder) as index:
        with index.catalog.read() as reader:
            before = [pin.id for pin in reader.each_pin()]
            written_to(folder)
            assert [pin.id for pin in reader.each_pin()] == before
            assert reader.mark() is None
        with index.catalog.read() as reader:
            assert reader.mark() is not None


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from visualsearch.store.migrations import migrate
folder, before = Path(sys.argv[1]), sys.argv[2]
db = sqlite3.connect(folder / "catalog.sqlite", isolation_level=None)
db.set_trace_callback(lambda sql: os.kill(os.getpid(), signal.SIGKILL) if before in sql else None)
migrate(db, folder)
"""


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO pins", "DROP TABLE old_pins", "CREATE TABLE changes", "user_version = 2", "COMMIT"],
)
def test_a_kill_before_any_statement_leaves_the_old_catalog_whole(statement: str, tmp_path: Path) -> None:
    folder = restored("first", tmp_path / "x.index")
    before, old = rows(folder), schema(folder)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), statement], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert schema(folder) == old
    assert rows(folder) == before
    with opened(folder) as index:
        assert len(index) == 5


def test_an_error_in_a_step_leaves_the_old_catalog_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = restored("first", tmp_path / "x.index")
    old = schema(folder)

    def fails(db: sqlite3.Connection) -> None:
        db.execute("DROP TABLE names")
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setitem(sys.modules[migrate.__module__]._STEPS, 1, fails)  # type: ignore[attr-defined]
    with pytest.raises(vs.VisualSearchError):
        opened(folder)
    assert schema(folder) == old


@pytest.mark.parametrize("name", LAYOUTS)
def test_where_it_cannot_be_written_a_readable_layout_is_read_and_the_first_one_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = restored(name, tmp_path / "x.index")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **k: not mode & os.W_OK and access(path, mode, **k))
    if LAYOUTS[name]:
        with opened(folder) as index:
            assert index.nearest(index.vectors(["p0"]), k=1)[0].ids == ["p0"]
        return
    with pytest.raises(VersionError) as caught:
        opened(folder)
    assert str(folder) in caught.value.what
    assert "migrated" in caught.value.why
    assert "Copy the folder" in caught.value.remedy


def test_while_another_process_writes_the_first_layout_cannot_be_opened(tmp_path: Path) -> None:
    folder = restored("first", tmp_path / "x.index")
    with writing(folder), pytest.raises(LockedError):
        opened(folder)


def test_a_later_layout_is_refused_by_readers_and_by_a_writer_that_was_open(tmp_path: Path) -> None:
    folder = restored("removals", tmp_path / "x.index")
    with opened(folder) as index:
        db = sqlite3.connect(folder / "catalog.sqlite")
        db.execute(f"PRAGMA user_version = {LAYOUT + 1}")
        db.close()
        with pytest.raises(VersionError, match=f"layout {LAYOUT + 1}"):
            index.update("p0", {})
    with pytest.raises(VersionError) as caught:
        opened(folder)
    assert f"layout {LAYOUT + 1}, this release reads up to {LAYOUT}" in caught.value.why
    assert "pip install --upgrade" in caught.value.remedy


def test_a_database_of_another_program_is_no_index(tmp_path: Path) -> None:
    folder = restored("named", tmp_path / "x.index")
    db = sqlite3.connect(folder / "catalog.sqlite")
    db.execute("PRAGMA application_id = 7")
    with pytest.raises(NotAnIndexError, match="another program"):
        layout_of(db, folder)
    db.close()
    with pytest.raises(NotAnIndexError, match="another program"):
        opened(folder)


# -- the log of changes -------------------------------------------------------------------------------------------
def changed(reader: Reader, since: Any) -> tuple[list[int], list[int], list[int]] | None:
    found = reader.changes_since(since)
    return None if found is None else (found.removed.tolist(), found.altered.tolist(), found.added.tolist())


def test_the_log_names_the_pins_that_were_altered_removed_or_added(tmp_path: Path) -> None:
    folder = restored("removals", tmp_path / "x.index")
    catalog = Catalog.open(folder)
    with writing(folder):
        writer = catalog.writer()
        mark = writer.mark()
        assert changed(writer, mark) == ([], [], [])
        with writer.commit():
            writer.touch_pin(
                1, "p0", "given/0", 1, "2", {"price": 10, "colour": "red"}, True
            )  # only its stamp
            writer.touch_pin(2, "p1", "given/1", 1, "1", {"price": 5}, True)
            writer.touch_pin(3, "renamed", "given/2", 1, "1", {"price": "on request"}, True)
            writer.delete_pins([5])
        assert changed(writer, mark) == ([5], [2, 3], [])
        later = writer.mark()
        with writer.commit():
            new = writer.put_pin("new", "given/new", None, None, None, 90, {})
            gone = writer.put_pin("gone", "given/gone", None, None, None, 91, {})
            writer.touch_pin(new, "new", "given/new", None, None, {"price": 1}, True)
            writer.delete_pins([gone, 3])
        assert (new, gone) == (7, 8)
        assert changed(writer, mark) == ([3, 5], [2], [7])
        assert changed(writer, later) == ([3], [], [7])
        assert changed(writer, writer.mark()) == ([], [], [])
        writer.close()
    catalog.close()


def test_a_mark_that_the_log_does_not_reach_is_not_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visualsearch.store.writer.KEPT_CHANGES", 3)
    folder = restored("removals", tmp_path / "x.index")
    catalog = Catalog.open(folder)
    with writing(folder):
        writer = catalog.writer()
        marks = [writer.mark()]
        for price in range(5):
            with writer.commit():
                writer.touch_pin(1, "p0", "given/0", 1, "1", {"price": price + 100}, True)
            marks.append(writer.mark())
        assert [changed(writer, mark) for mark in marks] == [None, None, *[([], [1], [])] * 3, ([], [], [])]
        ahead = marks[-1]
        writer.db.execute("DELETE FROM changes")
        assert changed(writer, marks[0]) is None
        assert changed(writer, ahead) == ([], [], [])
        writer.close()
    with catalog.read() as reader:
        assert (
            reader.changes_since(type(ahead)(ahead.change + 1, ahead.pin)) is None
        )  # a later state than the reader's
    catalog.close()


def test_what_the_catalogs_of_the_tests_say_is_what_the_tests_expect() -> None:
    for name in LAYOUTS:
        matrix = np.load(next((OLD / name / "vectors").iterdir()))
        assert matrix.dtype == np.float16
        assert json.dumps(ATTRIBUTES["p0"]) in (OLD / name / "catalog.sql").read_text(encoding="utf-8")
