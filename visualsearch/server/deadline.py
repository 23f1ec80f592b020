"""What a filter of a stranger may ask for, and how long it may take: it must not hold a thread for minutes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from visualsearch.engine import Index
from visualsearch.errors import IndexStateError
from visualsearch.search import COLUMNS, ahead_of_tests, parse, tests

from .problems import Kind, RefusedError

STEPS = 20_000
"""SQLite looks at the clock after this many of its instructions: about every millisecond."""
HIDDEN = frozenset({"uri"})
"""Columns that the API does not show as they are, so that a filter must not ask for them."""


@contextmanager
def limited(index: Index, seconds: float) -> Iterator[None]:
    """Within the block, this thread may compute for `seconds` to filter and sort. Raises RefusedError after that.

    Waiting for the model does not count.
    """
    ends = time.thread_time() + seconds

    def late() -> bool:
        return time.thread_time() > ends

    def check() -> None:
        if late():
            raise _late(seconds)

    try:
        with index.catalog.connections.watched(late, STEPS), ahead_of_tests(check):
            yield
    except IndexStateError as error:
        if not late():
            raise
        raise _late(seconds) from error


def _late(seconds: float) -> RefusedError:
    return RefusedError(
        Kind.SLOW_FILTER,
        "the filter takes too long",
        f"it may take {seconds:g} s",
        "Ask for less at once, or put what it looks for into an attribute of its own",
    )


def check_filter(where: str | None, most_tests: int) -> None:
    """Raise FilterError or RefusedError for a filter that a visitor may not use."""
    if where is None:
        return
    asked = tests(parse(where).tree)
    hidden = sorted({test.name for test in asked} & HIDDEN & COLUMNS.keys())
    if hidden:
        raise RefusedError(
            Kind.BAD_FILTER,
            f"`{hidden[0]}` cannot be used in a filter here",
            "where the pictures lie is not shown, so it cannot be searched either",
            "Filter by an attribute",
        )
    if len(asked) > most_tests:
        raise RefusedError(
            Kind.BAD_FILTER,
            "the filter is too long",
            f"it makes {len(asked):,} comparisons, at most {most_tests:,} are made",
            "Use `in` with a list of values",
        )
