"""Filters over columns: attributes as arrays in memory, for an index that is asked again and again.

SQL reads the JSON of every pin for every filter. A column reads it once. It keeps each pin's value as a number: the place of the
value in the sorted list of the distinct values. So a comparison is a range of numbers. Any other test is made once per distinct
value. The values are those that SQLite itself extracts, compared as SQLite compares them, so both ways select the same pins.

A commit changes few pins. Columns and answers of the state before it are taken over, and patched when they are asked for: only
the pins that the catalog's log of changes names are read.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from visualsearch.store import Changes, Mark, Reader
from visualsearch.types import Bool, Int64, UInt8

from .column import TRUE, Column, Groups, Lists, Step
from .tree import COLUMNS, Filter, tests
from .truth import LeftToSqlError, truth

_T_co = TypeVar("_T_co", covariant=True)
_Made = TypeVar("_Made", Column, Lists)

MAX_BYTES = 256 << 20
"""Memory that the columns of one state of an index may take together; the ones longest unused make room."""
MASKS = 8
"""Filters whose answers are kept, a byte a row each."""
FEW = 100
"""An answer is patched by asking SQL about at most so many changed pins, where columns can answer too."""
PART = 0.25
"""Where more of the pins than this changed, columns are made anew."""


def members(values: Int64, chosen: Int64) -> Bool:
    """(n,) bool: which of the values are among the chosen; a table look-up, since pin numbers are dense."""
    size = int(max(values.max(initial=-1), chosen.max(initial=-1))) + 1
    table = np.zeros(size, dtype=bool)
    table[chosen] = True
    return table[values]


def without(numbers: Int64, gone: Int64) -> Int64:
    """Ascending numbers without a few of them, and of others that are not among them."""
    spots = np.searchsorted(numbers, gone)
    spots = spots[spots < len(numbers)] if len(numbers) else spots[:0]
    return np.delete(numbers, spots[np.isin(numbers[spots], gone)])


@dataclass(frozen=True)
class _Kept(Generic[_T_co]):
    """A thing, the pins that it is of, and the state that these were read in."""

    thing: _T_co
    pins: Int64
    mark: Mark | None


@dataclass(frozen=True)
class _Answer:
    """The pins that a filter leaves in a state: those of `pins` that `left`, (pins,) bool, says, or all of them."""

    left: Bool | None
    pins: Int64
    mark: Mark | None

    @property
    def numbers(self) -> Int64:
        """Their numbers, ascending."""
        return self.pins if self.left is None else self.pins[self.left]


@dataclass
class Columns:
    """The columns of one state of an index, each made when a filter needs it for the second time.

    The first filter on an attribute runs as SQL: making a column costs as much as one or two such runs, so a process that asks
    one question never pays for it. Safe to share between threads.
    """

    limit: int = MAX_BYTES
    mark: Mark | None = None
    _kept: OrderedDict[tuple[str, type], _Kept[Column | Lists | None]] = field(default_factory=OrderedDict)
    _asked: Counter[str] = field(default_factory=Counter)
    _grouped: set[str] = field(default_factory=set)
    _answers: OrderedDict[tuple[str, str], _Answer] = field(default_factory=OrderedDict)
    _pins: _Kept[None] | None = None
    _count: tuple[int, Mark | None] | None = None
    _masks: OrderedDict[tuple[str, str], tuple[Bool, int]] = field(default_factory=OrderedDict)
    _one_row_each: bool | None = None
    _groups: dict[str, Groups] = field(default_factory=dict)
    _changed: dict[Mark | None, Changes | None] = field(default_factory=dict)
    _steps: dict[Mark | None, Step | None] = field(default_factory=dict)
    _guard: threading.RLock = field(default_factory=threading.RLock)

    # -- answers --------------------------------------------------------------------------------------------------
    def matching(self, reader: Reader, chosen: Filter) -> Int64:
        """Numbers of the pins that a filter leaves, ascending: `Reader.matching`, by columns where they pay.

        `reader` must see the state that these columns are of.
        """
        found = self._judged(reader, chosen)
        if found is None:
            return reader.matching(chosen)
        pins: Int64 = self.pins(reader)[found == TRUE]
        return pins

    def allowed(self, reader: Reader, chosen: Filter, owners: Int64) -> tuple[Bool, int]:
        """Which rows' pins a filter leaves, (rows,) bool, and how many pins these are. `owners`: (rows,) pin of each row.

        The last few answers are kept: a shop asks for the same category again and again. The array is shared: not to be
        written to.
        """
        key = (chosen.sql, repr(chosen.values))  # 1 and true are equal, and not the same to every test
        with self._guard:
            if key in self._masks:
                self._masks.move_to_end(key)
                return self._masks[key]
        answer = self._answer(reader, chosen, key)
        numbers = answer.numbers
        mask = (
            answer.left
            if answer.left is not None and self._is_of(owners, reader)
            else members(owners, numbers)
        )
        mask.setflags(write=False)
        with self._guard:
            found = self._masks[key] = mask, len(numbers)
            self._answers[key] = answer
            self._answers.move_to_end(key)
            for kept in (self._masks, self._answers):
                while len(kept) > MASKS:
                    kept.popitem(last=False)
        return found

    def _is_of(self, owners: Int64, reader: Reader) -> bool:
        """Whether the rows are the pins, one each and in their order, as they are until one is replaced."""
        if self._one_row_each is None:
            self._one_row_each = np.array_equal(owners, self.pins(reader))
        return self._one_row_each

    def _answer(self, reader: Reader, chosen: Filter, key: tuple[str, str]) -> _Answer:
        """The pins that a filter leaves: an earlier answer patched where few pins changed, else by columns, else by SQL."""
        with self._guard:
            old = self._answers.get(key)
            changes = None if old is None else self._changes(reader, old.mark)
        if old is not None and changes is not None and len(changes) <= FEW:
            return self._patched(reader, chosen, old, changes)
        found = self._judged(reader, chosen)
        if found is not None:
            return _Answer(found == TRUE, self.pins(reader), self.mark)
        if old is not None and changes is not None and len(changes) <= PART * self.count(reader):
            return self._patched(reader, chosen, old, changes)
        return _Answer(None, reader.matching(chosen), self.mark)

    def _patched(self, reader: Reader, chosen: Filter, old: _Answer, changes: Changes) -> _Answer:
        """An earlier answer, where SQL is asked about the changed pins only."""
        staying = without(old.numbers, np.concatenate([changes.removed, changes.altered]))
        again = reader.matching(chosen, np.concatenate([changes.altered, changes.added]))
        return _Answer(None, np.insert(staying, np.searchsorted(staying, again), again), self.mark)

    def _judged(self, reader: Reader, chosen: Filter) -> UInt8 | None:
        """(pins,) truth of each pin, or None where it is left to SQL."""
        with self._guard:
            known = all(self._asked[name] for name in chosen.names)
            self._asked.update(chosen.names)
            if known and not {t.name for t in tests(chosen.tree)} & COLUMNS.keys():
                with suppress(LeftToSqlError):
                    return truth(
                        chosen.tree,
                        lambda name: self._made(reader, name, Column),
                        lambda name: self._made(reader, name, Lists),
                    )
        return None

    def groups(self, reader: Reader, name: str, owners: Int64, alive: Bool) -> Groups:
        """The rows grouped by the values of an attribute. The last one or two attributes are kept, 4 bytes a row each."""
        with self._guard:
            if name not in self._groups:
                while len(self._groups) > 1:
                    del self._groups[next(iter(self._groups))]
                self._groups[name] = self._groups_by(reader, name, owners, alive)
            return self._groups[name]

    def _groups_by(self, reader: Reader, name: str, owners: Int64, alive: Bool) -> Groups:
        if (
            name in self._grouped
        ):  # in an earlier state too: a column is patched, where groups would be made anew
            with suppress(LeftToSqlError):
                return Groups.by(self._made(reader, name, Column), self.pins(reader), owners, alive)
        return Groups.made(reader, name, self.pins(reader), owners, alive)

    def count(self, reader: Reader) -> int:
        """How many pins there are; SQLite would count them one by one, for every query."""
        with self._guard:
            if self._count is None:
                self._count = reader.count(), self.mark
            count, mark = self._count
            if mark != self.mark:
                changes = self._changes(reader, mark)
                gain = 0 if changes is None else len(changes.added) - len(changes.removed)
                count = reader.count() if changes is None else count + gain
                self._count = count, self.mark
            return count

    def pins(self, reader: Reader) -> Int64:
        """Numbers of all pins, ascending: (pins,) int64."""
        with self._guard:
            if self._pins is None or self._pins.mark != self.mark:
                step = None if self._pins is None else self._step(reader, self._pins)
                pins = reader.numbers() if step is None else step.pins
                self._pins = _Kept(None, pins, self.mark)
            return self._pins.pins

    @property
    def bytes(self) -> int:
        """Memory that the columns take, with the pins of earlier states that some of them are still of."""
        with self._guard:
            earlier = {id(k.pins): k.pins.nbytes for k in self._kept.values() if k.mark != self.mark}
            return sum(earlier.values()) + sum(
                k.thing.bytes for k in self._kept.values() if k.thing is not None
            )

    # -- making and patching --------------------------------------------------------------------------------------
    def _made(self, reader: Reader, name: str, kind: type[_Made]) -> _Made:
        key = (name, kind)
        kept = self._kept.get(key)
        if kept is None or kept.mark != self.mark:
            column = self._present(reader, name, kind, kept)
            # One that alone is too large is remembered as such, so that it is not made again and again.
            fits = column is not None and column.bytes <= self.limit
            self._kept[key] = kept = _Kept(column if fits else None, self.pins(reader), self.mark)
            self._kept.move_to_end(key)
            while self.bytes > self.limit:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        if not isinstance(kept.thing, kind):
            raise LeftToSqlError
        return kept.thing

    def _present(
        self, reader: Reader, name: str, kind: type[_Made], kept: _Kept[Column | Lists | None] | None
    ) -> Column | Lists | None:
        """The column of this state: that of an earlier one, patched, or one made from all pins."""
        step = None if kept is None else self._step(reader, kept)
        if kept is not None and step is not None:
            return kept.thing if kept.thing is None else kept.thing.patched(reader, name, step)
        return Column.made(reader, name) if kind is Column else Lists.made(reader, name, self.pins(reader))

    def _step(self, reader: Reader, kept: _Kept[object]) -> Step | None:
        """The step from the state of what is kept to this one; None where that is not known, or is a long one."""
        if kept.mark not in self._steps:
            changes = self._changes(reader, kept.mark)
            few = changes is not None and len(changes) <= PART * len(kept.pins)
            self._steps[kept.mark] = Step.of(kept.pins, changes) if few and changes is not None else None
        return self._steps[kept.mark]

    def _changes(self, reader: Reader, mark: Mark | None) -> Changes | None:
        """What happened to the pins since an earlier state; None where that is not known."""
        if mark not in self._changed:
            self._changed[mark] = None if mark is None else reader.changes_since(mark)
        return self._changed[mark]


def columns_after(reader: Reader, before: Columns | None) -> Columns:
    """The columns of the state that `reader` sees, with what is known of another state."""
    made = Columns(mark=reader.mark())
    if before is None:
        return made
    with before._guard:
        made.limit = before.limit
        made._asked = before._asked.copy()
        made._grouped = before._grouped | before._groups.keys()
        if made.mark is not None and before.mark is not None:
            made._kept, made._answers = before._kept.copy(), before._answers.copy()
            made._pins, made._count = before._pins, before._count
    return made
