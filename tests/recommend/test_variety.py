"""Variety among ideas and related pins, and what is made behind the pages."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import visualsearch as vs
from visualsearch.errors import UsageError
from visualsearch.recommend import shelf as shelves
from visualsearch.recommend.looks import units


def alike(index: vs.Index, names: list[str]) -> float:
    """The mean cosine of pairs."""
    vectors = units(index.vectors(names))
    return float((vectors @ vectors.T)[np.triu_indices(len(names), 1)].mean())


def test_diversity_mixes_the_first_and_keeps_the_best(pins: vs.Index) -> None:
    board = pins.people.save("ada", "kitchen-0", board="Kitchen").board
    for pin in ("kitchen-1", "garden-1", "garden-2"):
        pins.people.save("ada", pin, board="Kitchen")
    for asked in (
        lambda diversity: pins.ideas(board, 6, person="ada", diversity=diversity),
        lambda diversity: pins.related("kitchen-0", 6, diversity=diversity),
    ):
        plain, varied = asked(0.0), asked(0.7)
        assert varied.ids[0] == plain.ids[0]
        assert len(varied) == len(plain) == 6
        assert alike(pins, list(varied.ids)) < alike(pins, list(plain.ids))
        assert all(hit.why is not None for hit in varied)
        with pytest.raises(UsageError, match="diversity"):
            asked(1.5)


def test_what_is_slow_is_made_behind_the_pages_and_by_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        """Stands for an index."""

    index: Any = Held()
    parts = shelves._Parts(index)
    clock = [0.0]
    monkeypatch.setattr(shelves.time, "monotonic", lambda: clock[0])
    go, made = threading.Event(), []

    def slow(_: Any) -> int:
        if made:
            go.wait(20)
        clock[0] += 1.0
        made.append(len(made))
        return made[-1]

    assert parts.get("popular", "a", slow) == 0
    assert parts.get("popular", "b", slow) == 0  # it rests first
    assert made == [0]
    clock[0] += shelves.REST * 1.0
    assert [parts.get("popular", "b", slow) for _ in range(3)] == [0, 0, 0]
    go.set()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon and "_renewed" in thread.name:
            thread.join(20)
    assert parts.get("popular", "b", slow) == 1
    assert made == [0, 1]


def test_what_failed_behind_a_page_is_told_to_the_next() -> None:
    class Held:
        """Stands for an index."""

    index: Any = Held()
    parts = shelves._Parts(index)
    parts._held["popular"] = shelves._Part("a", 7, 1.0, -1e9)

    def broken(_: Any) -> int:
        raise OSError("gone")

    assert parts.get("popular", "b", broken) == 7
    for thread in threading.enumerate():
        if "_renewed" in thread.name:
            thread.join(20)
    with pytest.raises(OSError, match="gone"):
        parts.get("popular", "b", broken)
