"""People: the facade over the record. Everything it does is in the parts it is made of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from . import backups as _backups  # noqa: F401  forgetting cleans backups too
from .appeals import Appeals
from .arranging import Arranging
from .claims import Claims
from .columns import Columns
from .domains import Domains
from .elsewhere import Elsewhere
from .import_export import ImportExport
from .ledger import Ledger
from .lists import Lists
from .live import Live
from .many import Many
from .material import Learnable
from .model import AnyPins, Pins
from .planned import Planned
from .promoted import Promoted
from .rulings import Rulings
from .settling import Settling
from .store import Store, now_ms
from .taste import Taste
from .trials import Trials
from .watching import Watching


class People(
    Claims,
    Many,
    Trials,
    Columns,
    ImportExport,
    Elsewhere,
    Learnable,
    Live,
    Taste,
    Promoted,
    Ledger,
    Domains,
    Planned,
    Rulings,
    Appeals,
    Settling,
    Watching,
    Arranging,
    Lists,
):
    """Who did what: people, boards, saves, follows, comments, events.

    Safe to share between threads and processes. What a call returned is on disk.

    >>> from visualsearch.people import open_people
    >>> people = open_people("pins.index")                    # doctest: +SKIP
    >>> people.save("ada", "pin-17", board="kitchen").board   # doctest: +SKIP
    """

    def __init__(self, store: Store, pins: Pins, now: Callable[[], int]) -> None:
        self.store, self.pins, self.now = store, pins, now

    def close(self) -> None:
        """Finish what is being written, and close."""
        self.store.close()

    def __enter__(self) -> People:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"People({self.store.address!r})"


def open_people(
    folder: str | os.PathLike[str],
    address: str | None = None,
    *,
    pins: Pins | None = None,
    now: Callable[[], int] = now_ms,
) -> People:
    """The record of people beside an index, made if it is not there.

    `address` is that of a PostgreSQL database (extra `postgres`) instead of the file `people.sqlite`. `pins` is asked which pins
    exist; None takes any id. `now` is the clock, in milliseconds. Raises StorageError, NotAnIndexError, VersionError, UsageError.
    """
    return People(Store(Path(folder), address), AnyPins() if pins is None else pins, now)
