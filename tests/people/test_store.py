"""The database: opened, brought up to date, written in groups, and never half."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from visualsearch.errors import MissingExtraError, NotAnIndexError, StorageError, UsageError, VersionError
from visualsearch.people import Event, People, open_people
from visualsearch.people import store as stores
from visualsearch.people.schema import HEAD, SCHEMA, receipts

from .conftest import Clock, Opener
from .postgres import Cluster

ROOT = Path(__file__).parents[2]


def row(name: str) -> dict[str, object]:
    return {"receipt": name, "at": 1, "removed": "{}", "proof": ""}


def test_the_migrations_make_the_tables_that_the_code_uses(people: People) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with people.store.read() as db:
        assert compare_metadata(MigrationContext.configure(db), SCHEMA) == []
        assert db.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD


def test_two_servers_that_make_the_same_board_in_one_moment_both_save(opened: Opener) -> None:
    servers, start, failures = [opened(), opened()], threading.Barrier(2), []
    for number in range(20):
        servers[0].create_board(f"p{number}", "Other")

    def work(people: People, pin: str) -> None:
        try:
            for number in range(20):
                start.wait()
                people.save(f"p{number}", pin, board="Kitchen")
        except Exception as error:
            failures.append(error)
            start.abort()

    threads = [threading.Thread(target=work, args=(s, f"pin-{n}")) for n, s in enumerate(servers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {len(servers[0].pins_of("Kitchen", viewer=f"p{number}")) for number in range(20)} == {2}


def test_a_piece_of_work_that_fails_is_undone_alone(people: People) -> None:
    start, errors = threading.Event(), []

    def work(name: str, fails: bool) -> None:
        def do(db: object) -> None:
            db.execute(insert(receipts).values(**row(name)))  # type: ignore[attr-defined]
            if fails:
                raise ValueError(name)

        start.wait()
        try:
            people.store.write(do)
        except ValueError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=work, args=(f"{n}", n % 3 == 0)) for n in range(30)]
    for thread in threads:
        thread.start()
    start.set()
    for thread in threads:
        thread.join()
    assert sorted(map(int, errors)) == [n for n in range(30) if n % 3 == 0]
    with people.store.read() as db:
        kept = set(db.execute(select(receipts.c.receipt)).scalars())
    assert kept == {str(n) for n in range(30) if n % 3}


def test_readers_see_one_state_and_do_not_wait(people: People) -> None:
    with people.store.read() as db:
        before = db.execute(select(receipts.c.receipt)).all()
        people.store.write(lambda writing: writing.execute(insert(receipts).values(**row("x"))))
        assert db.execute(select(receipts.c.receipt)).all() == before == []
    with people.store.read() as db:
        assert db.execute(select(receipts.c.receipt)).all() == [("x",)]


def test_tables_of_the_first_release_are_brought_up_to_date(opened: Opener, clock: Clock) -> None:
    from alembic.command import downgrade
    from alembic.config import Config

    people = opened()
    people.record([Event("click", "ada", f"pin-{n}", event_id=f"{n}") for n in range(5)])
    clock.pass_(days=2)
    people.roll()
    config = Config()
    config.set_main_option("script_location", str(Path(stores.__file__).parent / "migrations"))
    with people.store._writing.begin() as db:
        config.attributes["connection"] = db
        downgrade(config, "0001")
    again = opened()
    (part,) = again.part_files()
    assert (part.day, part.until, part.rows, part.run) == ("2025-12-29", "2025-12-29", 5, 5)
    assert len(again.events_of("ada")) == 5
    assert again.verify() == []


def test_tables_of_a_newer_release_are_refused(opened: Opener) -> None:
    people = opened()
    people.store.write(lambda db: db.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(VersionError, match="newer"):
        opened()


def test_places_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotAnIndexError, match="does not exist"):
        open_people(tmp_path / "nothing")
    (tmp_path / stores.FILE).write_bytes(b"this is no database" * 100)
    with pytest.raises(NotAnIndexError, match="damaged"):
        open_people(tmp_path)
    for address in ("mysql://x/y", "nonsense", "postgres:/"):
        with pytest.raises(UsageError, match="postgresql://"):
            open_people(tmp_path, address)
    with pytest.raises(StorageError, match="cannot reach") as caught:
        open_people(tmp_path, "postgresql://me:hidden@localhost:1/none")
    assert "hidden" not in str(caught.value)


def test_postgresql_without_its_driver_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="postgres"):
        open_people(tmp_path, "postgresql://host/name")


def test_a_full_disk_refuses_the_event_and_keeps_the_rest(lite: People) -> None:
    lite.record([Event("search", "ada", event_id="before")])
    with lite.store._writing.connect() as db:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar()
        db.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageError, match="full"):
        lite.record([Event("search", "ada", event_id=f"{n}-{'x' * 150}") for n in range(2000)])
    assert [e["event_id"] for e in lite.events_of("ada")] == ["before"]
    with lite.store._writing.connect() as db:
        db.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert lite.record([Event("search", "ada", event_id="after")])[0].status == "accepted"


def test_a_server_that_goes_away_and_comes_back(server: Cluster, tmp_path: Path) -> None:
    with open_people(tmp_path, server.database("away")) as people:
        people.save("ada", "pin-1", board="K")
        server.stop()
        with pytest.raises(StorageError, match="server"):
            people.save("ada", "pin-2", board="K")
        server.start()
        people.save("ada", "pin-3", board="K")
        assert [s.pin for s in people.pins_of("K", viewer="ada")] == ["pin-3", "pin-1"]


def test_a_closed_record_says_so(lite: People) -> None:
    lite.close()
    with pytest.raises(StorageError, match="closed"):
        lite.save("ada", "pin-1", board="K")


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_killed_process_loses_nothing_acknowledged_and_doubles_nothing(
    tmp_path: Path, request: pytest.FixtureRequest, engine: str
) -> None:
    words = [
        sys.executable,
        "-m",
        "tests.people.kills",
        str(tmp_path),
        "--kills",
        "30" if engine == "sqlite" else "8",
        "--seconds",
        "240",
    ]
    if engine == "postgresql":
        words += ["--people", request.getfixturevalue("server").emptied("killed")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no flaw" in done.stdout


def test_the_database_is_as_durable_as_it_says(lite: People) -> None:
    with lite.store._writing.connect() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert db.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
    assert sqlite3.connect(lite.store.path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
