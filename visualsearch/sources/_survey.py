"""What the first rows of a manifest tell: which columns are prices, codes, lists of pictures; and what to say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._addresses import printable
from ._cells import CODE, cell
from ._columns import PRICE, TITLE, URL, Columns, Meaning, folded, group_name
from ._prices import Marks, marks_of, price_of
from ._tables import Row

_NAMED = 3  # columns that a note lists by name


def surveyed(
    meaning: Meaning, wanted: Columns, rows: Sequence[Row], typed: bool, pictures: Callable[[Any], list[Any]]
) -> tuple[Meaning, list[str]]:
    """`meaning` completed by what the rows hold, and what a person should be told. `pictures` reads a cell of pictures."""
    cells: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.values.items():
            cells.setdefault(name, []).append(value)
    named = wanted.price is not None or meaning.export is not None
    amounts = {}
    for name in _amounts(meaning, list(cells)):
        filled = [value for value in cells[name] if value not in (None, "")]
        if named or all(not isinstance(value, str) or price_of(value) for value in filled):
            amounts[name] = marks_of(filled)
    texts = {} if typed else _own_texts(cells, meaning, amounts)
    codes = {name for name, values in texts.items() if any(CODE.fullmatch(value) for value in values)}
    made = replace(meaning, amounts=amounts, codes=frozenset(codes))
    if made.group_name is None and _several(made, rows, pictures):
        made = replace(made, group_name=group_name(None, list(cells)))
    notes = [made.says()] if made.export else []
    if made.group_name and not made.group:
        notes.append(f"pictures of one row are grouped by {made.group_name!r}: each row is one product")
    notes += [note for name, marks in amounts.items() for note in _price_notes(name, marks, cells[name])]
    notes += _text_notes(texts, codes)
    notes += _table_notes(rows, cells, made)
    return made, notes


def _amounts(meaning: Meaning, names: Sequence[str]) -> list[str]:
    """The columns that hold prices."""
    if meaning.export is None:
        return [name for name in meaning.price if name in names]
    return [name for name in names if name in meaning.price or " price" in f" {folded(name)} "]


def _own_texts(
    cells: Mapping[str, list[Any]], meaning: Meaning, amounts: Mapping[str, Marks]
) -> dict[str, list[str]]:
    """The filled cells of the columns whose texts are looked at for what they may mean."""
    apart = {meaning.id, *meaning.images, meaning.title, meaning.url, *amounts}
    return {
        name: [value for value in values if isinstance(value, str) and value]
        for name, values in cells.items()
        if name not in apart
    }


def _several(meaning: Meaning, rows: Sequence[Row], pictures: Callable[[Any], list[Any]]) -> bool:
    return any(
        sum(len(pictures(row.values.get(column))) for column in meaning.images) > 1
        for row in rows
        if not row.problem
    )


def _price_notes(name: str, marks: Marks, values: Sequence[Any]) -> list[str]:
    notes = []
    if marks.unclear:
        found = price_of(marks.unclear, marks.decimal)
        amount = found[0] if found else ""
        why = f"as {marks.example!r} shows" if marks.decimal else "no price here shows which mark is decimal"
        notes.append(f"{name!r}: {marks.unclear!r} is read as {amount} ({why})")
    if marks.other:
        notes.append(
            f"{name!r} mixes {marks.example!r} and {marks.other!r}: each is read by its own decimal mark"
        )
    wrong = [value for value in values if isinstance(value, str) and value and not price_of(value)]
    if wrong:
        notes.append(f"{name!r}: {printable(wrong[0])!r} is no price and stays a text")
    return notes


def _text_notes(texts: Mapping[str, Sequence[str]], codes: set[str]) -> list[str]:
    notes = []
    if codes:
        first = next(name for name in texts if name in codes)
        code = next(value for value in texts[first] if CODE.fullmatch(value))
        notes.append(f"kept as text, because of codes such as {code!r}: {_listed(sorted(codes))}")
    commas, mixed = [], []
    for name, values in texts.items():
        if name in codes or not values:
            continue
        numbers = sum(isinstance(cell(value), int | float) for value in values)
        if not numbers and all(value[-1:].isdigit() and price_of(value) for value in values):
            commas.append(name)
        elif len(values) > numbers >= len(values) / 2 and not _truths(values):
            mixed.append(name)
    if commas:
        value = texts[commas[0]][0]
        notes.append(f"kept as text, though they look like numbers ({value!r}): {_listed(commas)}")
    if mixed:
        value = next(v for v in texts[mixed[0]] if not isinstance(cell(v), int | float))
        notes.append(
            f"numbers and texts are mixed ({printable(value)!r}) in {_listed(mixed)}: filters by number pass over the texts"
        )
    return notes


def _truths(values: Sequence[str]) -> bool:
    return all(isinstance(cell(value), bool) for value in values)


def _table_notes(rows: Sequence[Row], cells: Mapping[str, Any], meaning: Meaning) -> list[str]:
    notes = []
    short = [row.line for row in rows if row.missing]
    if short:
        notes.append(
            f"{len(short):,} of the first {len(rows):,} rows have fewer cells than the header (line {short[0]}):"
            " the missing ones are taken for empty"
        )
    roles = {TITLE: meaning.title, PRICE: next(iter(meaning.price), None), URL: meaning.url}
    for attribute, column in roles.items():
        if column and column != attribute and attribute in cells and attribute not in meaning.price:
            notes.append(f"the column {attribute!r} is left out: {column!r} is the {attribute}")
    return notes


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(printable(name)) for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
