"""The persons of an import, from one batch to the next: their numbers, and what they allow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from visualsearch.errors import UsageError
from visualsearch.types import Int64

from .events import refusal
from .model import MEANINGS, new_pseudonym, pseudonym_number
from .persons import OPEN, PERSONS, Known, by_numbers, check_key, find
from .schema import consent, marks, people
from .store import Store, among, chunks
from .typed import Rows, mask

MANY = 50_000
"""Up to so many choices of consent are read whole; of more, those of a batch's persons."""


class Folk:
    """The persons that an import has met. They are looked up anew once somebody was forgotten, or a key was dropped."""

    def __init__(self) -> None:
        self._names: Any = None
        self._numbers: Int64 = np.zeros(0, np.int64)
        self._mark = -1

    def numbers(self, store: Store, rows: Rows, column: Any, now: int) -> Int64:
        """(n,) the number of each row's person, made where new. Rows without a usable person are dropped and named."""
        import pyarrow as pa

        with store.read() as db:
            mark = int(db.execute(select(marks.c.value).where(marks.c.name == PERSONS)).scalar() or 0)
        if mark != self._mark or self._names is None:
            self._names, self._numbers, self._mark = pa.array([], pa.string()), self._numbers[:0], mark
        coded = column.dictionary_encode()
        coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        names = coded.dictionary
        codes = coded.indices.fill_null(len(names)).to_numpy()
        used = np.bincount(codes[rows.good], minlength=len(names) + 1)
        place = self._places(names)
        new = np.flatnonzero(place < 0).tolist()
        texts = {at: names[at].as_py() for at in new}
        odd = {at for at in new if _odd(texts[at])}
        fresh = [texts[at] for at in new if used[at] and at not in odd]
        if fresh:
            self._meet(store, fresh, now)
            place = self._places(names)
        found = np.append(np.where(place < 0, 0, np.append(self._numbers, 0)[place]), 0)
        rows.drop(np.isin(codes, [len(names), *odd]), "`person` is empty or no key")
        result: Int64 = found[codes]
        rows.drop(result == 0, "nobody has that pseudonym")
        return result

    def _places(self, names: Any) -> Int64:
        """(n,) where each name stands among those known, or -1."""
        import pyarrow.compute as pc

        found: Int64 = pc.index_in(names, value_set=self._names).fill_null(-1).to_numpy().astype(np.int64)
        return found

    def _meet(self, store: Store, names: Sequence[str], now: int) -> None:
        """Find or make persons."""
        import pyarrow as pa

        keys = sorted(name for name in names if pseudonym_number(name) is None)
        with store.read() as db:
            found = find(db, [name for name in names if pseudonym_number(name) is not None])
            known = {name: each.number for name, each in found.items()}
            for part in chunks(keys, 20_000):
                known |= dict(map(tuple, among(db, _KEYS, part)))
        for part in chunks([key for key in keys if key not in known], 20_000):
            known |= store.write(partial(_made, store=store, keys=part, now=now))
        self._names = pa.concat_arrays([self._names, pa.array(list(known), pa.string())])
        self._numbers = np.concatenate([self._numbers, np.array(list(known.values()), np.int64)])

    def consents(self, store: Store, rows: Rows, columns: dict[str, Any], person: Int64) -> int:
        """Take out what persons' consents leave out, and their sites; how many rows. Few persons restrict anything."""
        import pyarrow as pa

        before = int(rows.good.sum())
        for number, each in _restricted(store, person):
            closed = [kind for kind in MEANINGS if refusal(each, kind)]
            mine = person == number
            if closed:
                rows.good &= ~(mine & mask(_is_in(columns["kind"], closed)))
            if columns["site"] is not None and not each.consent.sites:
                columns["site"] = _emptied(columns["site"], pa.array(mine))
        return before - int(rows.good.sum())


_KEYS = "SELECT key, person FROM people WHERE key"


def _odd(name: str) -> bool:
    try:
        check_key(name)
    except UsageError:
        return True
    return False


def _made(db: Connection, store: Store, keys: Sequence[str], now: int) -> dict[str, int]:
    store.insert(
        db, people, [(new_pseudonym(), key, now) for key in keys], columns=("person", "key", "created")
    )
    return dict(map(tuple, among(db, _KEYS, keys)))


def _restricted(store: Store, person: Int64) -> list[tuple[int, Known]]:
    """Those of the persons who restrict something."""
    with store.read() as db:
        count = int(db.execute(select(func.count()).select_from(consent)).scalar_one())
        if not count:
            return []
        numbers = np.unique(person)
        if count <= MANY:
            chosen = list(db.execute(select(consent.c.person)).scalars())
            numbers = np.intersect1d(numbers, np.array(chosen, np.int64))
        known = [each for part in chunks(numbers.tolist(), 20_000) for each in by_numbers(db, part)]
    return [(each.number, each) for each in known if each.consent != OPEN]


def _is_in(column: Any, values: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(column, value_set=pa.array(values))


def _emptied(column: Any, which: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(which, pa.scalar(None, pa.string()), column)
