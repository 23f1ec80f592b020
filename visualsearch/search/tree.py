"""A filter's tree, and the tree as a SQL condition over the catalog's pins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from visualsearch.store import ATTRIBUTES, json_path

COLUMNS = {"id": "p.id", "uri": "p.uri"}
"""A pin's own columns; every other name in a filter is an attribute."""

Value = str | int | float | bool


class Check(StrEnum):
    """What a test asks of an attribute's value, as SQL writes it."""

    EQUAL = "="
    UNEQUAL = "<>"
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    AMONG = "in"
    LIKE = "like"
    CONTAINS = "contains"
    NULL = "is null"
    TRUE = "is true"


@dataclass(frozen=True)
class Test:
    """One test of one attribute. There is one value, but none for NULL and TRUE, and any number of either type for AMONG."""

    __test__ = False  # not one of pytest's

    name: str
    check: Check
    values: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Not:
    """True where the part is false."""

    part: Node


@dataclass(frozen=True)
class Both:
    """True where both parts are."""

    left: Node
    right: Node


@dataclass(frozen=True)
class Either:
    """True where a part is."""

    left: Node
    right: Node


Node = Test | Not | Both | Either
"""A filter's tree. Its logic has three values, as in SQL: what is missing makes a test neither true nor false."""


@dataclass(frozen=True)
class Filter:
    """A parsed filter: its tree, and the same as a SQL condition over `pins p` with `?` marks and the values for them."""

    text: str
    tree: Node
    sql: str = field(init=False)
    values: tuple[Value, ...] = field(init=False)

    def __post_init__(self) -> None:
        values: list[Value] = []
        object.__setattr__(self, "sql", _sql(self.tree, values))
        object.__setattr__(self, "values", tuple(values))

    @property
    def names(self) -> frozenset[str]:
        """The attributes it asks for; `id` and `uri` are none."""
        return frozenset(t.name for t in tests(self.tree)) - COLUMNS.keys()


def tests(node: Node) -> list[Test]:
    """All tests of a tree."""
    if isinstance(node, Test):
        return [node]
    parts = [node.part] if isinstance(node, Not) else [node.left, node.right]
    return [test for part in parts for test in tests(part)]


# -- SQL ----------------------------------------------------------------------------------------------------------
# A text never equals or orders against a number: SQLite alone would put every text above every number.
_TEXT = "CASE WHEN typeof({0}) = 'text' THEN {0} %s END"
_NUMBER = "CASE WHEN typeof({0}) IN ('integer', 'real') THEN {0} %s END"
_UNTYPED = {
    Check.LIKE: "{0} LIKE ?",
    Check.NULL: "{0} IS NULL",
    Check.TRUE: _NUMBER % "<> 0",
}


def _sql(node: Node, values: list[Value]) -> str:
    """A tree as a condition; the values of its marks are appended to `values`, in their order."""
    if isinstance(node, Not):
        return f"(NOT {_sql(node.part, values)})"
    if isinstance(node, Test):
        return _test_sql(node, values)
    word = "AND" if isinstance(node, Both) else "OR"
    return f"({_sql(node.left, values)} {word} {_sql(node.right, values)})"


def _test_sql(test: Test, values: list[Value]) -> str:
    if test.check is Check.CONTAINS:
        return _contains_sql(test, values)
    if test.check is Check.AMONG:
        return _among_sql(test, values)
    if test.check in _UNTYPED:
        pattern = _UNTYPED[test.check]
    else:
        pattern = (_TEXT if isinstance(test.values[0], str) else _NUMBER) % f"{test.check} ?"
    return _filled(test.name, pattern, test.values, values)


def _filled(name: str, pattern: str, given: Iterable[Value], values: list[Value]) -> str:
    """A pattern with the attribute in its places; its path and the given values are appended to `values`."""
    if name not in COLUMNS:
        values += [json_path(name)] * pattern.count("{0}")
    values += given
    return f"({pattern.format(COLUMNS.get(name) or f'json_extract({ATTRIBUTES}, ?)')})"


def _among_sql(test: Test, values: list[Value]) -> str:
    """The value compared with the list's members of its own type; where there are none, the test is neither true nor false."""
    parts = []
    for typed, kind in ((_NUMBER, False), (_TEXT, True)):
        some = [v for v in test.values if isinstance(v, str) is kind]
        if some:
            parts.append(_filled(test.name, typed % f"IN ({', '.join('?' * len(some))})", some, values))
    return f"coalesce({', '.join(parts)})" if len(parts) > 1 else parts[0]


def _contains_sql(test: Test, values: list[Value]) -> str:
    value = test.values[0]
    if test.name in COLUMNS:
        values.append(str(value))
        return f"(instr({COLUMNS[test.name]}, ?) > 0)"
    path = json_path(test.name)
    values += [path, path, value, path, str(value)]
    return (
        f"(CASE json_type({ATTRIBUTES}, ?) WHEN 'array' THEN"
        f" EXISTS (SELECT 1 FROM json_each({ATTRIBUTES}, ?) AS e WHERE e.value = ?)"
        f" WHEN 'text' THEN instr(json_extract({ATTRIBUTES}, ?), ?) > 0 END)"
    )
