"""Compiled inner loops: where they come from, and when. They come with the extra `fast` (numba).

Numba takes half a second to load. The first time on a machine it also takes some seconds to compile; the result is kept on
disk. So a module of loops is loaded only when it is asked for. Until then, and without the extra, libraries do the same work.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any


class Loops:
    """A module of compiled loops, loaded on demand, then used by every thread.

    `warm` is given the module once: it calls each loop with the types that will come, so that they are compiled before
    many threads ask for them at once.
    """

    def __init__(self, module: str, warm: Callable[[Any], None]) -> None:
        self._module, self._warm = module, warm
        self._guard = threading.Lock()
        self._tried = False
        self._loaded: ModuleType | None = None
        self._aside = False

    def load(self) -> bool:
        """Load them if the extra is there; whether they are there. Safe to call from many threads, and again."""
        with self._guard:
            if not self._tried:
                try:
                    importlib.import_module("numba")
                except ImportError:
                    self._tried = True
                    return False
                loops = importlib.import_module(self._module)
                self._warm(loops)
                self._loaded, self._tried = loops, True
        return self.ready is not None

    @property
    def ready(self) -> Any:
        """The module once `load` has been called and found it; else None."""
        return None if self._aside else self._loaded

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Work as if the extra were not there, in all threads: for comparisons."""
        self._aside = True
        try:
            yield
        finally:
            self._aside = False


def loop(function: Any = None, *, reorder: bool = False) -> Any:
    """`function` compiled, without the GIL; kept on disk for the next process where there is a place to write.

    `reorder` lets sums be taken in any order, which lanes side by side need.
    """
    from numba import njit

    if function is None:
        return partial(loop, reorder=reorder)
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract"} if reorder else False}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(**options)(function)
