"""One writing thread a process. Work that arrives together is committed together: acknowledged means on disk."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from visualsearch.errors import StorageError

T = TypeVar("T")
Work = Callable[[Connection], Any]
MOST = 256
"""So many pieces of work share a commit at most."""
WAITING = 4096
"""So many may wait; then callers wait to hand theirs over."""


RACES = 20
"""So often a transaction runs again that met another server's in PostgreSQL."""


FAULTS = (DBAPIError, UnicodeEncodeError)
"""What is raised as an error of ours: the database's errors, and halves of characters, which no database takes."""


def _raced(error: DBAPIError) -> bool:
    """Whether PostgreSQL undid a transaction to end a deadlock or a conflict with another server's, or for a row of the same
    key that another server added in the same moment: seen again, it is there.
    """
    return getattr(error.orig, "sqlstate", None) in ("40001", "40P01", "23505")


class _Job:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.future: Future[Any] = Future()


class Writer:
    """Runs pieces of work in one thread, in the order they came, many to a transaction.

    Each has a savepoint of its own: one that fails is undone alone, and its caller gets the error.
    """

    def __init__(
        self, engine: Engine, translate: Callable[[DBAPIError | UnicodeEncodeError], Exception]
    ) -> None:
        self._engine, self._translate = engine, translate
        self._queue: queue.Queue[_Job | None] = queue.Queue(WAITING)
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do the work in the writing thread; returns when it is on disk. `work` may run twice, and must only use its connection.

        Raises what the work raised, or StorageError when the commit failed.
        """
        return self.submit(work).result()

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """The same, without waiting: much that is handed over at once shares its commits."""
        with self._guard:
            if self._closed:
                raise StorageError("cannot write", "the record of people was closed", "Open it again")
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="people-writer", daemon=True)
                self._thread.start()
            if threading.current_thread() is self._thread:
                raise RuntimeError("work for the writing thread must not ask it for more work")
            job = _Job(work)
            self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Finish what waits, and end the thread."""
        with self._guard:
            self._closed = True
            thread = self._thread
            if thread is not None:
                self._queue.put(None)
        if thread is not None:
            thread.join()

    def _loop(self) -> None:
        while True:
            jobs, last = self._waiting()
            if jobs:
                self._commit(jobs)
            if last:
                return

    def _waiting(self) -> tuple[list[_Job], bool]:
        """All that waits now, at least one; and whether the end was among it."""
        jobs: list[_Job] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) >= MOST:
                return jobs, False
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            outcomes = self._transaction(jobs)
        except Exception as error:  # nothing of the batch was kept
            fault = self._translate(error) if isinstance(error, FAULTS) else error
            for job in jobs:
                job.future.set_exception(fault)
            return
        for job, (value, failure) in zip(jobs, outcomes, strict=True):
            if failure is None:
                job.future.set_result(value)
            else:
                job.future.set_exception(failure)

    def _transaction(self, jobs: list[_Job]) -> list[tuple[Any, Exception | None]]:
        """Run all in one transaction. What was undone as a whole before its commit, by no fault of a job, runs again."""
        for attempt in itertools.count(1):
            committing = False
            try:
                with self._engine.connect() as db:
                    work = db.begin()
                    try:
                        if len(jobs) == 1:  # it needs no savepoint: what is undone is the transaction
                            outcomes: list[tuple[Any, Exception | None]] = [(jobs[0].work(db), None)]
                        else:
                            outcomes = [self._one(db, job.work) for job in jobs]
                    except BaseException:
                        if not db.invalidated:
                            work.rollback()
                        raise
                    committing = True  # whether a commit that broke off took effect cannot be told
                    work.commit()
                    return outcomes
            except DBAPIError as error:
                most = RACES if _raced(error) else 1 if error.connection_invalidated else 0
                if committing or attempt > most:
                    raise
                if error.connection_invalidated:  # a server that went away and came back
                    self._engine.dispose()
        raise AssertionError("unreachable")

    def _one(self, db: Connection, work: Work) -> tuple[Any, Exception | None]:
        point = db.begin_nested()
        try:
            value = work(db)
        except Exception as error:
            if isinstance(error, DBAPIError) and (error.connection_invalidated or _raced(error)):
                raise
            point.rollback()  # raises where the database gave up the whole transaction, as on a full disk
            return None, self._translate(error) if isinstance(error, FAULTS) else error
        point.commit()
        return value, None
