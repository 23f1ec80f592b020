"""Threads for what computes, with a bound on what waits: the event loop never computes, and overload is refused."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from .problems import Kind, RefusedError

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """`threads` threads, and at most `limit` calls that run or wait."""

    def __init__(self, name: str, threads: int, limit: int) -> None:
        self.name, self.threads, self.limit = name, threads, limit
        self.refused = 0
        self._pending = 0
        self._seconds = 0.05  # of one call, a moving mean
        self._guard = threading.Lock()
        self._executor = ThreadPoolExecutor(threads, f"serve-{name}")

    @property
    def pending(self) -> int:
        """Calls that run or wait now."""
        return self._pending

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(*args)` in a thread. Raises RefusedError at once when `limit` calls are pending."""
        with self._guard:
            full = self._pending >= self.limit
            if full:
                self.refused += 1
            else:
                self._pending += 1
        if full:
            wait = max(1, math.ceil(self._pending * self._seconds / self.threads))
            raise RefusedError(
                Kind.BUSY,
                "the server is busy",
                f"{self.limit} {self.name} requests are waiting already",
                f"Try again in {wait} s",
                retry_after=wait,
            )
        try:
            future = self._executor.submit(self._timed, function, args, kwargs)
        except RuntimeError:
            self._done(None)
            raise
        future.add_done_callback(self._done)
        result: T = await asyncio.wrap_future(future)
        return result

    def _timed(self, function: Callable[..., T], args: Any, kwargs: Any) -> T:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            with self._guard:
                self._seconds += 0.1 * (time.perf_counter() - started - self._seconds)

    def _done(self, _: Future[Any] | None) -> None:
        with self._guard:
            self._pending -= 1

    def close(self) -> None:
        """Finish what runs, drop what waits."""
        self._executor.shutdown(wait=True, cancel_futures=True)
