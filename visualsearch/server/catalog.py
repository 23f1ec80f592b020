"""Questions of the page to the catalog: a page of pins, what the attributes hold."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from weakref import WeakKeyDictionary

from visualsearch.engine import Index
from visualsearch.errors import UsageError
from visualsearch.search import parse
from visualsearch.store import Condition, Pin, Reader

from .deadline import check_filter, limited
from .schemas import AttributeOut, ValueOut
from .settings import Settings

SURVEYED = 200_000
"""Attributes are summed up over at most so many pins."""
MOST_VALUES = 40
LONGEST = 60  # characters of a value to choose
KEPT = 64
"""Counts of so many filters are kept until a pin changes: visitors of a shop ask for the same ones."""
_NUMBERS = ("integer", "real")
_TRUTHS = {"true", "false"}
_SCALARS = {*_NUMBERS, *_TRUTHS, "text"}


def pins(
    index: Index, where: str | None, sort: str | None, k: int, offset: int, limits: Settings
) -> tuple[list[Pin], int]:
    """A page of the pins that a filter leaves, and how many these are.

    `sort` is an attribute's name, with a leading "-" from high to low; without it, pins come well mixed.
    """
    check_filter(where, limits.max_tests)
    with limited(index, limits.filter_seconds), index.catalog.read() as reader:
        chosen = _shown(index, _condition(reader, where))
        name, down = (None, False) if sort is None else sort_key(sort, reader.names())
        return reader.page(chosen, k, offset, name, down), reader.count_matching(chosen)


def _condition(reader: Reader, where: str | None) -> Condition | None:
    """A filter over the attributes that pins have; None, for all pins, without one."""
    return None if where is None else parse(where, reader.names())


@dataclass(frozen=True)
class _Without:
    """A condition, and pins by id that are left out in any case."""

    inner: Condition | None
    ids: frozenset[str]

    @property
    def sql(self) -> str:
        """See `Condition`."""
        first = "1" if self.inner is None else f"({self.inner.sql})"
        return f"{first} AND p.id NOT IN (SELECT value FROM json_each(?))"

    @property
    def values(self) -> Sequence[Any]:
        """See `Condition`."""
        return (*(() if self.inner is None else self.inner.values), json.dumps(sorted(self.ids)))


def _shown(index: Index, chosen: Condition | None) -> Condition | None:
    """The same without what verdicts hide."""
    hidden = index.shut().hidden if index.has_people else frozenset()
    return _Without(chosen, hidden) if hidden else chosen


def sort_key(sort: str, names: list[str]) -> tuple[str, bool]:
    """The attribute to sort by, and whether from high to low. Raises UsageError for one that no pin has."""
    name, down = (sort[1:], True) if sort.startswith("-") and sort not in names else (sort, False)
    if name not in names:
        known = ", ".join(names[:12])
        raise UsageError(
            f"cannot sort by {name!r}",
            "no pin of this index has it",
            f"Known: {known}" if known else "This index's pins have no attributes",
        )
    return name, down


def summaries(index: Index) -> list[AttributeOut]:
    """What every attribute holds, by name."""
    with index.catalog.read() as reader:
        kinds: dict[str, list[Any]] = {}
        for name, *kind in reader.attribute_kinds(SURVEYED):
            kinds.setdefault(name, []).append(kind)
        return [_summary(reader, name, found) for name, found in kinds.items()]


def counts(
    index: Index, where: str | None, names: Sequence[str], limits: Settings
) -> dict[str, list[ValueOut]]:
    """How many of the pins that a filter leaves have each value of these attributes; values that none has are left out."""
    check_filter(where, limits.max_tests)
    with limited(index, limits.filter_seconds), index.catalog.read() as reader:
        kept = _counts_of(index, reader)
        key = (where, tuple(names))
        found = kept.get(key)
        if found is None:
            found = {name: [] for name in names}
            for name, *value in reader.value_counts(names, SURVEYED, _condition(reader, where)):
                found[name].append(_value(*value))
            kept.put(key, found)
        return dict(found)


class _Counts:
    """The counts under the last few filters, all of one state of the pins. Safe for threads."""

    def __init__(self, state: object) -> None:
        self.state = state
        self._found: OrderedDict[object, dict[str, list[ValueOut]]] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, key: object) -> dict[str, list[ValueOut]] | None:
        with self._guard:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: object, found: dict[str, list[ValueOut]]) -> None:
        with self._guard:
            self._found[key] = found
            while len(self._found) > KEPT:
                self._found.popitem(last=False)


_kept: WeakKeyDictionary[Index, _Counts] = WeakKeyDictionary()


def _counts_of(index: Index, reader: Reader) -> _Counts:
    """What is kept for the state that a reader sees; a commit that changes no pin leaves it."""
    state = reader.mark() or reader.state
    kept = _kept.get(index)
    if kept is None or kept.state != state:
        kept = _kept[index] = _Counts(state)
    return kept


def _summary(reader: Reader, name: str, kinds: list[Any]) -> AttributeOut:
    count = sum(kind[1] for kind in kinds)
    types = {kind[0] for kind in kinds}
    if types <= set(_NUMBERS):
        return _range(name, kinds)
    distinct = sum(kind[2] for kind in kinds)
    if types <= _TRUTHS:
        values = [ValueOut(value=kind[0] == "true", count=kind[1]) for kind in kinds]
        return AttributeOut(name=name, kind="boolean", count=count, values=values)
    # A value that most pins have for themselves, or a long one, is a text: nothing to choose from.
    few = 1 < distinct <= MOST_VALUES or distinct <= count // 4
    shared = distinct <= count // 2 or count < 8
    if types <= _SCALARS and few and shared and max(kind[5] for kind in kinds) <= LONGEST:
        return AttributeOut(name=name, kind="category", count=count, values=_values(reader, name))
    # Prices with an "on request" among them keep their range.
    numbers = [kind for kind in kinds if kind[0] in _NUMBERS]
    if 2 * sum(kind[1] for kind in numbers) >= count:
        return _range(name, numbers)
    return AttributeOut(name=name, kind="text", count=count)


def _range(name: str, kinds: list[Any]) -> AttributeOut:
    """A number's range; an end that is not finite is left out, since JSON cannot say it."""
    low, high = (float(end) for end in (min(kind[3] for kind in kinds), max(kind[4] for kind in kinds)))
    return AttributeOut(
        name=name,
        kind="number",
        count=sum(kind[1] for kind in kinds),
        low=low if isfinite(low) else None,
        high=high if isfinite(high) else None,
    )


def _values(reader: Reader, name: str) -> list[ValueOut]:
    return [_value(*found) for _, *found in reader.value_counts([name], SURVEYED, most=MOST_VALUES)]


def _value(kind: str, value: Any, count: int) -> ValueOut:
    return ValueOut(value=kind == "true" if kind in _TRUTHS else value, count=count)
