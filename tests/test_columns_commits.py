"""Columns and answers that are taken over from an earlier state are those that would be made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import visualsearch as vs
from visualsearch.search import columns as columns_module
from visualsearch.search.column import Column, Groups, Lists
from visualsearch.search.columns import Columns, columns_after, members
from visualsearch.search.filters import parse
from visualsearch.store import Catalog, Reader, Writer

from .fakes import FakeEncoder
from .test_columns import NAMES, expression, filled, pins, values
from .test_engine import add_given, clustered

attributes = st.dictionaries(st.sampled_from(NAMES), values, max_size=3)
places = st.integers(0, 20)
operation = st.one_of(
    st.tuples(st.just("add"), places, attributes),
    st.tuples(st.just("change"), places, attributes),
    st.tuples(st.just("change"), places, attributes),
    st.tuples(st.just("replace"), places, attributes),
    st.tuples(st.just("remove"), places, attributes),
    st.tuples(st.just("rename"), places, attributes),
)
commits = st.lists(
    st.tuples(st.lists(operation, max_size=4), st.lists(expression, max_size=3)), min_size=1, max_size=6
)


def perform(writer: Writer, kind: str, place: int, given_: dict[str, Any], stamp: int) -> None:
    """One operation of a writer on one of the pins."""
    known = list(writer.each_pin())
    if kind == "add" or not known:
        writer.put_pin(f"new{stamp}", f"/new{stamp}", None, None, None, 1000 + stamp, given_)
        return
    pin = known[place % len(known)]
    if kind == "remove":
        writer.delete_pins([pin.pin])
    elif kind == "replace":
        writer.put_pin(pin.id, pin.uri, None, None, None, 1000 + stamp, given_, True, pin.pin)
    else:
        name = f"pin-{stamp}" if kind == "rename" else pin.id
        kept = pin.attributes if kind == "rename" else given_
        writer.touch_pin(pin.pin, name, pin.uri, None, None, kept, True)


def contents(columns: Columns, reader: Reader, name: str) -> dict[str, Any]:
    """What columns keep of an attribute, brought to the present state."""
    column, lists = columns._made(reader, name, Column), columns._made(reader, name, Lists)
    return {
        "codes": column.codes.tolist(),
        "numbers": column.numbers,
        "texts": column.texts,
        "kinds": lists.kinds.tolist(),
        "members": {(type(v) is str, v): lists.holding(v).tolist() for v in lists.values},
    }


def partition(groups: Groups) -> set[frozenset[int]]:
    """The rows of each group."""
    return {frozenset(np.flatnonzero(groups.numbers == n).tolist()) for n in set(groups.numbers.tolist())}


def check(columns: Columns, reader: Reader, rows: Any) -> None:
    """All that is kept equals what is made anew."""
    fresh = Columns()
    assert columns.pins(reader).tolist() == reader.numbers().tolist()
    assert columns.count(reader) == reader.count()
    alive = np.ones(len(rows), bool)
    for name in NAMES:
        assert contents(columns, reader, name) == contents(fresh, reader, name)
        here, there = (c.groups(reader, name, rows, alive) for c in (columns, fresh))
        assert (partition(here), here.count) == (partition(there), there.count)


@given(
    pins, commits, st.lists(expression, min_size=1, max_size=3), st.sampled_from([0, 2, 100]), st.booleans()
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_commits_what_was_taken_over_is_what_would_be_made(
    tmp_path_factory: pytest.TempPathFactory,
    start: list[dict[str, Any]],
    done: list[tuple[list[Any], list[str]]],
    always: list[str],
    few: int,
    more_rows: bool,
) -> None:
    folder = tmp_path_factory.mktemp("c")
    catalog = filled(folder, start)
    elsewhere = Catalog.open(folder)  # as a writer in another process has it
    stamp = 0
    with mock.patch.object(columns_module, "FEW", few), mock.patch.object(columns_module, "PART", 1.0):
        columns: Columns | None = None
        for operations, asked in [([], []), *done]:
            writer = elsewhere.writer()
            with writer.commit():
                for kind, place, given_ in operations:
                    stamp += 1
                    perform(writer, kind, place, given_, stamp)
            writer.close()
            with catalog.read() as reader:
                columns = columns_after(reader, columns)
                rows = reader.numbers()
                rows = np.concatenate([rows, rows[:3]]) if more_rows else rows
                for where in [*always, *asked, "id like 'pin%'"]:
                    wanted = reader.matching(parse(where))
                    mask, count = columns.allowed(reader, parse(where), rows)
                    assert mask.tolist() == members(rows, wanted).tolist(), where
                    assert count == len(wanted)
                    assert columns.matching(reader, parse(where)).tolist() == wanted.tolist(), where
        with catalog.read() as reader:
            assert columns is not None
            check(columns, reader, rows)
            assert columns.bytes <= columns.limit
    for one in (catalog, elsewhere):
        one.close()


@given(pins, st.lists(operation, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_patching_leaves_the_columns_of_the_earlier_state_alone(
    tmp_path_factory: pytest.TempPathFactory, start: list[dict[str, Any]], operations: list[Any]
) -> None:
    catalog = filled(tmp_path_factory.mktemp("c"), start)
    with catalog.read() as reader:
        before = columns_after(reader, None)
        was = {name: contents(before, reader, name) for name in NAMES}
        mask, _ = before.allowed(reader, parse("p < 5 or q = 'red'"), before.pins(reader))
        had = mask.tolist()
    writer = catalog.writer()
    with writer.commit():
        for number, (kind, place, given_) in enumerate(operations):
            perform(writer, kind, place, given_, number)
    writer.close()
    with catalog.read() as reader, mock.patch.object(columns_module, "PART", 10.0):
        after = columns_after(reader, before)
        for name in NAMES:
            assert contents(after, reader, name) == contents(Columns(), reader, name)
        after.allowed(reader, parse("p < 5 or q = 'red'"), after.pins(reader))
        assert {name: contents(before, reader, name) for name in NAMES} == was
        assert mask.tolist() == had
    catalog.close()


class Counting(Reader):
    """A reader that counts the pins whose attributes it reads."""

    read = 0

    def attribute_values(self, name: str, pins: Any = None) -> Any:
        found = list(super().attribute_values(name, pins))
        Counting.read += len(found)
        return iter(found)

    def matching(self, chosen: Any, pins: Any = None) -> Any:
        Counting.read += self.count() if pins is None else len(pins)
        return super().matching(chosen, pins)


@pytest.mark.parametrize(("few", "where"), [(100, "price < 7"), (0, "price < 7"), (100, "id like '%7'")])
def test_after_a_commit_only_the_changed_pins_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int, where: str
) -> None:
    monkeypatch.setattr(columns_module, "FEW", few)
    catalog = filled(tmp_path, [{"price": n % 10} for n in range(500)])
    columns = None
    for turn in range(4):
        with catalog.read() as plain:
            reader = Counting(plain.db, plain.folder)
            columns = columns_after(reader, columns)
            Counting.read = 0
            _, count = columns.allowed(reader, parse(where), columns.pins(reader))
            assert count == len(plain.matching(parse(where)))
            if turn > 1:
                assert Counting.read <= 3
            columns.matching(reader, parse(where))
        writer = catalog.writer()
        with writer.commit():
            writer.touch_pin(20 + turn, f"pin{19 + turn}", "/x", None, None, {"price": turn}, True)
            writer.put_pin(f"n{turn}7", "/y", None, None, None, 1000 + turn, {"price": 3})
            writer.delete_pins([100 + turn])
        writer.close()
    catalog.close()


def test_a_log_that_was_cut_off_or_is_not_there_makes_columns_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visualsearch.store.writer.KEPT_CHANGES", 2)
    catalog = filled(tmp_path, [{"price": n} for n in range(30)])
    columns = None
    for turn in range(4):
        with catalog.read() as reader:
            columns = columns_after(reader, columns)
            for _ in range(3):
                wanted = reader.matching(parse("price < 7")).tolist()
                assert columns.matching(reader, parse("price < 7")).tolist() == wanted
            assert columns.count(reader) == 30
        writer = catalog.writer()
        with writer.commit():
            for number in range(5):
                name = f"pin{turn * 5 + number}"
                pin = turn * 5 + number + 1
                writer.touch_pin(pin, name, "/x", None, None, {"price": 100}, True)
        writer.close()
    catalog.close()


def test_columns_of_many_states_stay_within_their_memory(tmp_path: Path) -> None:
    catalog = filled(tmp_path, [{f"a{n}": number for n in range(6)} for number in range(200)])
    columns = None
    for turn in range(30):
        with catalog.read() as reader:
            columns = columns_after(reader, columns)
            columns.limit = 60_000
            for name in (f"a{turn % 6}", f"a{turn % 5}"):
                for _ in range(2):
                    wanted = reader.matching(parse(f"{name} < 50")).tolist()
                    assert columns.matching(reader, parse(f"{name} < 50")).tolist() == wanted
            assert columns.bytes <= columns.limit
        writer = catalog.writer()
        with writer.commit():
            writer.touch_pin(1 + turn, f"pin{turn}", "/x", None, None, {"a0": turn, "a1": "text"}, True)
        writer.close()
    catalog.close()


def test_answers_stay_right_through_removals_compaction_and_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = vs.create(tmp_path / "x.index", FakeEncoder())
    matrix = clustered(60)
    add_given(index, matrix, monkeypatch)
    other = vs.open(tmp_path / "x.index", FakeEncoder())
    for turn in range(6):
        for _ in range(2):
            hits = other.nearest(matrix[:1], k=60, where="n < 30", group_by="even")[0]
            assert hits.total == 2
            flat = other.nearest(matrix[:1], k=60, where="n < 30")[0]
            with other.catalog.read() as reader:
                wanted = {p.id for p in reader.each_pin() if p.attributes["n"] < 30}
            assert set(flat.ids) == wanted
            assert flat.total == len(wanted)
        index.update(f"v{turn}", {"n": 40 + turn, "even": True})
        index.update(f"v{50 + turn}", {"n": turn, "even": False})
        index.remove([f"v{10 + turn}"])
        if turn == 3:
            index.compact()
    index.close()
    other.close()
