"""The database of the people half: SQLite beside the index, or PostgreSQL by address. The only module that opens it."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from visualsearch.errors import (
    LockedError,
    MissingExtraError,
    NotAnIndexError,
    StorageError,
    UnreachableError,
    UsageError,
    VersionError,
    VisualSearchError,
)

from . import private
from .model import FILE
from .schema import HEAD
from .writer import Writer

CACHE_KB = 32_000
CHECKPOINT_PAGES = 8_000
CONNECT_SECONDS = 5
"""A PostgreSQL server that does not answer for so long counts as gone."""
MOST_ROWS = 64
"""So many rows are inserted by one statement of SQLite: 21 columns of them stay far below its limit of 32,766 values."""
CHUNK = 500
"""So many values are named in one IN list."""
_MIGRATING = (
    0x7669737370656F70  # the advisory lock of PostgreSQL under which the tables are brought up to date
)
_LEADING = 0x766973756C656164
LEADING = "people.leading.lock"
_ARGUMENTS = ("sqlite", "postgresql")


def now_ms() -> int:
    """The time in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class Store:
    """Connections to the database: many that read, one thread that writes."""

    def __init__(self, folder: Path, address: str | None = None) -> None:
        self.folder = folder
        self.shut: Any = None  # what verdicts hide, as last read; see `Rulings.shut`
        self.quiet = False  # no deed leaves an event; see `Claims.unrecorded`
        self.judge: Callable[[Any], str] | None = None  # says why an event is not billed; see `billing`
        self._url = _url(folder, address)
        self.sqlite = self._url.get_backend_name() == "sqlite"
        self.path = Path(self._url.database or "") if self.sqlite else None
        self._engine = self._made(writes=False)
        self._writing = self._made(writes=True)
        self._open = True
        self._guard = threading.Lock()
        self.writer = Writer(self._writing, self.translate)
        try:
            self._migrate()
        except DBAPIError as error:
            self.close()
            raise self.translate(error) from error

    @property
    def address(self) -> str:
        """Where the database is, without a password."""
        return str(self.path) if self.path else self._url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Finish what is being written and close every connection."""
        with self._guard:
            if not self._open:
                return
            self._open = False
        self.writer.close()
        self._engine.dispose()
        self._writing.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one state throughout. It never waits for the writer."""
        try:
            with self._engine.connect() as db, db.begin():
                yield db
        except (DBAPIError, UnicodeEncodeError) as error:
            raise self.translate(error) from error

    def write(self, work: Callable[[Connection], Any]) -> Any:
        """Run `work(connection)` in the writing thread; see `Writer.run`."""
        return self.writer.run(work)

    def alone(self, *statements: str) -> list[Any]:
        """Run upkeep such as VACUUM outside any transaction; the first row of each statement, or None."""
        try:
            if self.path is None:
                with self._writing.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
                    for statement in statements:
                        db.exec_driver_sql(statement)
                return [None] * len(statements)
            raw = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            try:
                raw.execute("PRAGMA secure_delete = ON")
                return [raw.execute(statement).fetchone() for statement in statements]
            finally:
                raw.close()
        except sqlite3.Error as error:
            raise self.translate(DBAPIError("", (), error)) from error
        except DBAPIError as error:
            raise self.translate(error) from error

    @contextmanager
    def leading(self) -> Iterator[bool]:
        """Whether this process is the one of several that looks after the record, until the block ends. It never waits."""
        if self.sqlite:
            from filelock import FileLock, Timeout

            lock = FileLock(self.folder / LEADING, timeout=0)
            try:
                lock.acquire()
            except Timeout:
                yield False
                return
            try:
                yield True
            finally:
                lock.release()
            return
        # Without a transaction: one that stays open would keep what is deleted meanwhile in the tables.
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            leads = bool(db.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LEADING})").scalar())
            try:
                yield leads
            finally:
                if leads:
                    db.exec_driver_sql(f"SELECT pg_advisory_unlock({_LEADING})")

    # -- statements ------------------------------------------------------------------------------------------------
    def insert(
        self, db: Connection, table: Table, rows: Sequence[Sequence[Any]], columns: Sequence[str] = ()
    ) -> None:
        """Add many rows by position; rows whose key is there already are left as they are."""
        self.insert_new(db, table, rows, columns)

    def insert_new(
        self, db: Connection, table: Table, rows: Sequence[Sequence[Any]], columns: Sequence[str] = ()
    ) -> int:
        """The same; how many were new."""
        if not rows:
            return 0
        names = columns or [c.name for c in table.columns]
        quoted = ", ".join(f'"{name}"' for name in names)
        begin = f'INSERT INTO "{table.name}" ({quoted})'
        return run_many(db, begin, [tuple(row) for row in rows], "ON CONFLICT DO NOTHING")

    def upsert(self, db: Connection, table: Table, values: Mapping[str, Any]) -> None:
        """Add a row, or replace the values of the row with its primary key."""
        if self.sqlite:
            from sqlalchemy.dialects.sqlite import insert
        else:
            from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
        key = [c.name for c in table.primary_key.columns]
        rest = {name: value for name, value in values.items() if name not in key}
        statement = insert(table).values(dict(values))
        db.execute(statement.on_conflict_do_update(index_elements=key, set_=rest))

    # -- opening ---------------------------------------------------------------------------------------------------
    def _made(self, writes: bool) -> Engine:
        if not self.sqlite:
            return create_engine(
                self._url,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args={"connect_timeout": CONNECT_SECONDS},
                pool_size=1 if writes else 4,
                isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
            )
        engine = create_engine(
            self._url, connect_args={"timeout": 30}, pool_size=1 if writes else 4, hide_parameters=True
        )

        @event.listens_for(engine, "connect")
        def _settle(connection: sqlite3.Connection, _: object) -> None:
            connection.isolation_level = None  # transactions begin and end where we say
            for pragma in (
                "journal_mode = WAL",
                "synchronous = FULL",
                "foreign_keys = ON",
                "secure_delete = ON",
            ):
                connection.execute(f"PRAGMA {pragma}")
            if not writes:
                connection.execute("PRAGMA query_only = ON")
            else:
                # Events of many people touch many pages: they are kept in memory, and written back seldom and together.
                connection.execute(f"PRAGMA cache_size = -{CACHE_KB}")
                connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
                connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def _migrate(self) -> None:
        """Bring the tables up to date. Raises VersionError where a newer release made them."""
        if self.path is not None and not self.path.exists():
            if not self.folder.is_dir():
                raise NotAnIndexError(
                    f"no index at {self.folder}", "the folder does not exist", "Name an index folder"
                )
            if not os.access(self.folder, os.W_OK):
                raise StorageError(f"cannot write {self.path}", "the folder is read-only", "Make it writable")
            try:
                private.touched(self.path)
            except OSError as error:
                raise StorageError(
                    f"cannot make {self.path}", str(error), "Free some space, or check the disk"
                ) from error
        with self._engine.connect() as db, db.begin():
            if inspect(db).has_table("alembic_version"):
                found = db.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
                if found == HEAD:
                    return
        from .migrations import upgrade

        with self._writing.begin() as db:
            if not self.sqlite:
                db.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
            known = upgrade(db)
        if not known:
            raise VersionError(
                f"cannot open {self.address}",
                "a newer release made its tables",
                "Upgrade: pip install --upgrade visualsearch",
            )

    def translate(self, error: DBAPIError | UnicodeEncodeError) -> VisualSearchError:
        """A database's error as one of ours. So is the error of a text that holds half a character."""
        if isinstance(error, UnicodeEncodeError):
            bad = ascii(error.object[error.start : error.end])[:40]
            return UsageError("a text holds half a character", f"{bad} is no Unicode text", "Leave it out")
        said = (
            str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        )
        low = said.lower()
        if "locked" in low or "busy" in low:
            return LockedError(
                f"cannot write to {self.address}", "another process is writing to it", "Try again"
            )
        if "not a database" in low or "malformed" in low:
            return NotAnIndexError(
                f"{self.address} is damaged", said, "Restore it from a copy, or move it away to start anew"
            )
        if "cannot contain nul" in low:
            return UsageError("a text holds a NUL character", "PostgreSQL stores none", "Leave it out")
        full = "full" in low or "no space" in low
        remedy = "Free some space; nothing of this was kept" if full else "Check the disk"
        if not self.sqlite and not full:
            remedy = "Check that the server runs and that the address is right; then try again"
            if error.connection_invalidated or isinstance(error, OperationalError):
                return UnreachableError(f"cannot reach {self.address}", said, remedy)
        return StorageError(f"cannot use {self.address}", said, remedy)


def _url(folder: Path, address: str | None) -> URL:
    if address is None:
        return URL.create("sqlite", database=str((folder / FILE).absolute()))
    try:
        url = make_url(address)
        backend = url.get_backend_name()
    except ArgumentError:
        backend = ""
    if backend not in _ARGUMENTS:
        raise UsageError(
            "cannot use that address for people",
            "it names neither PostgreSQL nor SQLite",
            "Write postgresql://user@host/database",
        )
    if backend == "postgresql":
        if find_spec("psycopg") is None:
            raise MissingExtraError("cannot use PostgreSQL", "postgres")
        return url.set(drivername="postgresql+psycopg")
    return url


def among(db: Connection, sql: str, values: Sequence[Any], plain: bool = True) -> Sequence[Sequence[Any]]:
    """The rows of a statement that ends with a column's name, where that column has one of the values.

    `plain`: the chosen columns hold whole numbers and texts only.
    """
    if not values:
        return []
    if db.dialect.name != "sqlite":
        return db.exec_driver_sql(f"{sql} = ANY(%s)", (list(values),)).fetchall()
    listed = (json.dumps(list(values)),)
    sql = f"{sql} IN (SELECT value FROM json_each(?))"
    if not plain:
        return _raw(db, sql, listed)[0]
    # In one row: after each row that SQLite gives, Python lets other threads run, and waits for its turn.
    columns, _, rest = sql.removeprefix("SELECT ").partition(" FROM ")
    gathered = _raw(db, f"SELECT json_group_array(json_array({columns})) FROM {rest}", listed)
    rows: list[list[Any]] = json.loads(gathered[0][0][0])
    return rows


def run_many(db: Connection, begin: str, rows: Sequence[tuple[Any, ...]], end: str) -> int:
    """Run `begin` VALUES (row), (row), ... `end`: an INSERT of many rows. How many were added."""
    if not rows:
        return 0
    width = len(rows[0])
    if db.dialect.name != "sqlite":
        return db.exec_driver_sql(f"{begin} VALUES ({', '.join(['%s'] * width)}) {end}", rows).rowcount
    marks = f"({', '.join('?' * width)})"
    at = added = 0
    while at < len(rows):
        # Many rows to a statement, for the same reason; few numbers of rows, so that the statements stay prepared.
        size = min(MOST_ROWS, 1 << (len(rows) - at).bit_length() - 1)
        given = [value for row in rows[at : at + size] for value in row]
        sql = f"{begin} VALUES {', '.join([marks] * size)} {end}"
        added += _raw(db, sql, given)[1]
        at += size
    return added


def _raw(db: Connection, sql: str, values: Sequence[Any]) -> tuple[list[tuple[Any, ...]], int]:
    """Ask SQLite itself: what SQLAlchemy adds to each statement and row costs an event more than SQLite does.

    The rows that came back, and how many were changed.
    """
    raw: Any = db.connection.driver_connection
    try:
        cursor = raw.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            sql, None, error, sqlite3.Error, hide_parameters=True, dialect=db.dialect
        ) from error
    return rows, cursor.rowcount


def chunks(values: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """The values, `size` at a time."""
    for at in range(0, len(values), size):
        yield values[at : at + size]
