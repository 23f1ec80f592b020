"""One budget of memory over all pictures that are decoded at the same time, whatever thread decodes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from visualsearch.errors import PictureError, UsageError
from visualsearch.resources import give_back_memory, memory

DEFAULT_MOST = 2 << 30
"""Pictures share a quarter of the memory that this process may use, but no more than this, unless the caller says otherwise."""

LEAST = 16 << 20
_WORTH_TRIMMING = 128 << 20
_IDLE_SECONDS = 1.0


class Budget:
    """Bytes that threads take before they decode and give back afterwards.

    Whoever comes first is served first, so a large picture is not overtaken for ever. A picture that needs more than `limit`
    waits until nothing else is held, and then runs alone; one that needs more than `most` is refused. A thread that holds
    some already gets more at once: if it waited, two such threads could wait for one another.
    """

    def __init__(self, limit: int, most: int) -> None:
        self.limit, self.most = limit, most
        self.held = 0
        self.peak = 0
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    def take(self, size: int, name: str, waits: bool = True) -> None:
        """Take `size` bytes for the picture `name`; with `waits`, when its turn has come. Raises PictureError."""
        if size > self.most:
            raise PictureError(
                name,
                f"decoding it takes about {_mb(size)}, over the {_mb(self.most)} that one picture may take",
                f"Shrink it, or allow more memory (--memory {_mb(round(1.1 * size))}, in Python images.limit_memory)",
            )
        with self._changed:
            if waits:
                self._wait(size)
            self.held += size
            self.peak = max(self.peak, self.held)

    def _wait(self, size: int) -> None:
        ticket = object()
        self._queue.append(ticket)
        try:
            while self._queue[0] is not ticket or (self.held and self.held + size > self.limit):
                self._changed.wait()
        finally:
            self._queue.remove(ticket)
            self._changed.notify_all()  # the next in the queue may fit, too

    def give(self, size: int) -> None:
        """Give `size` bytes back."""
        with self._changed:
            self.held -= size
            self._changed.notify_all()
            idle = not self.held and self.peak >= _WORTH_TRIMMING
            if idle:
                self.peak = 0
        if idle:
            _trim_soon()


def _trim_soon() -> None:
    """Give the system the memory that the C library keeps, once the last picture is gone from the caller's hands, too."""
    timer = threading.Timer(_IDLE_SECONDS, give_back_memory)
    timer.daemon = True
    timer.start()


def _mb(size: int) -> str:
    return f"{max(1, round(size / 1e6))}MB"


def _default() -> Budget:
    whole = memory()
    return Budget(min(whole // 4, DEFAULT_MOST), whole // 2)


class _Shared:
    """The process's own budget, made at first use."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._budget: Budget | None = None

    def get(self) -> Budget:
        with self._guard:
            if self._budget is None:
                self._budget = _default()
            return self._budget

    def set(self, limit: int, most: int) -> None:
        budget = self.get()  # the same object: what is held in it stays counted
        budget.limit, budget.most = limit, most


_SHARED = _Shared()


class _Own(threading.local):
    """What this thread holds, and how much of it `in_hand` keeps until its block ends; None outside such a block."""

    held = 0
    kept: int | None = None


_OWN = _Own()


def limit_memory(size: int | None) -> None:
    """Let the pictures that are decoded at the same time in this process take at most `size` bytes together.

    A picture that needs more alone is refused. None is the default: a quarter of the memory of the machine or container, at
    most 2 GiB, where a single picture may take half of that memory if it runs alone. Raises UsageError below 16 MiB.
    """
    if size is None:
        plain = _default()
        _SHARED.set(plain.limit, plain.most)
        return
    if size < LEAST:
        raise UsageError(
            f"{size:,} bytes are too little for pictures",
            f"an ordinary photograph takes more, and {LEAST:,} is the least",
            "Give 500MB or more",
        )
    _SHARED.set(size, size)


def memory_limit() -> int:
    """Bytes that the pictures decoded at the same time may take together."""
    return _SHARED.get().limit


@contextmanager
def hold(size: int, name: str) -> Iterator[None]:
    """The block may use `size` bytes for the picture `name`: it begins when they are free. Raises PictureError."""
    budget = _SHARED.get()
    budget.take(size, name, waits=not _OWN.held)
    _OWN.held += size
    try:
        yield
    finally:
        if _OWN.kept is None:
            _OWN.held -= size
            budget.give(size)
        else:
            _OWN.kept += size


@contextmanager
def in_hand() -> Iterator[None]:
    """What this thread decodes inside the block counts until the block ends, since the pictures are worked on there."""
    if _OWN.kept is not None:
        yield
        return
    _OWN.kept = 0
    try:
        yield
    finally:
        size, _OWN.kept = _OWN.kept, None
        _OWN.held -= size
        if size:
            _SHARED.get().give(size)
