"""What may be learnt from, as columns: saves on public boards, and follows, of people who allow it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, func, select

from .boards import described, visible
from .judged import open_pin
from .live import counts
from .model import Board, pseudonym_number
from .persons import Base, find
from .schema import boards, events, follows, receipts, saves
from .store import chunks

ROWS = 200_000
HIDING = ("hide", "report")


@dataclass(frozen=True)
class Material:
    """Saves as columns, (n,) each, in the order in which they were made.

    `person`, `board` and `pin` (int32) are positions in order of first appearance; `at` (int64) is in milliseconds since 1970.
    `pins` and `numbers` name the pins (-1: no number known), `boards` the boards, `owner` (int32) each board's person.
    `follows`, (m, 2) int32, are pairs of persons: who follows whom. Nothing in it names a person. `fingerprint` is the same for
    the same deeds, whatever pseudonyms the people have.
    """

    person: NDArray[np.int32]
    board: NDArray[np.int32]
    pin: NDArray[np.int32]
    at: NDArray[np.int64]
    pins: Sequence[str]
    numbers: NDArray[np.int64]
    boards: Sequence[str]
    owner: NDArray[np.int32]
    persons: int
    follows: NDArray[np.int32]
    watermark: int

    def __len__(self) -> int:
        return len(self.pin)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over who saved what where, and who follows whom."""
        digest = hashlib.sha256()
        for column in (self.person, self.board, self.pin, self.at, self.numbers, self.owner, self.follows):
            digest.update(column.tobytes())
        for names in (self.pins, self.boards):
            digest.update("\0".join(names).encode())
        return digest.hexdigest()[:16]


class Learnable(Base):
    """Hands out what may be learnt from."""

    def material(self) -> Material:
        """Every save on a public board that counts for others (`live.counts`), of pins that are not gone; and the
        follows between such persons. Secret boards teach nothing: a pair of pins that only one of them holds would tell of it.
        """
        persons, places, pins = _Positions(), _Positions(), _Positions()
        numbers: list[int] = []
        owners: list[int] = []
        columns: list[list[NDArray[np.int64]]] = [[], [], [], []]
        highest = 0
        with self.store.read() as db:
            for rows in _parts(db, _SAVES):
                save, board, person, pin, number, at, owner = zip(*rows, strict=True)
                columns[0].append(persons.of(person))
                columns[1].append(places.of(board))
                columns[2].append(pins.of(pin))
                columns[3].append(np.array(at, dtype=np.int64))
                first = np.unique(columns[2][-1], return_index=True)[1]
                new = [int(i) for i in first if columns[2][-1][i] >= len(numbers)]
                numbers += [-1 if number[i] is None else int(number[i]) for i in new]
                first = np.unique(columns[1][-1], return_index=True)[1]
                owners += [int(owner[i]) for i in first if columns[1][-1][i] >= len(owners)]
                highest = max(highest, int(save[-1]))
            pairs = _pairs(db, persons)
        owner_at = persons.of(owners)
        return Material(
            person=_joined(columns[0]).astype(np.int32),
            board=_joined(columns[1]).astype(np.int32),
            pin=_joined(columns[2]).astype(np.int32),
            at=_joined(columns[3]),
            pins=tuple(pins.known),
            numbers=np.array(numbers, dtype=np.int64),
            boards=tuple(places.known),
            owner=owner_at.astype(np.int32),
            persons=len(persons.known),
            follows=pairs,
            watermark=highest,
        )

    def epoch(self) -> tuple[int, int]:
        """The number of the newest save, and how many persons were ever forgotten: cheap signs that something is due."""
        with self.store.read() as db:
            newest = db.execute(select(func.max(saves.c.save))).scalar()
            forgotten = db.execute(select(func.count()).select_from(receipts)).scalar_one()
        return int(newest or 0), int(forgotten)

    def hidden(self, person: str) -> set[str]:
        """The pins that a person hid or reported and did not save since. Empty for somebody unknown."""
        with self.store.read() as db:
            known = find(db, [person]).get(person)
            if known is None:
                return set()
            chosen = select(events.c.pin_id, events.c.at).where(
                events.c.person == known.number, events.c.kind.in_(HIDING)
            )
            hides = dict(_newest((row.pin_id, row.at) for row in db.execute(chosen)))
            for row in self._events_in_parts(known.number, 1 << 62):
                if row["kind"] in HIDING and row["pin_id"] is not None:
                    hides[row["pin_id"]] = max(hides.get(row["pin_id"], 0), row["at"])
            if not hides:
                return set()
            kept = select(saves.c.pin_id, saves.c.at).where(saves.c.person == known.number)
            saved = dict(_newest((row.pin_id, row.at) for row in db.execute(kept)))
        return {pin for pin, at in hides.items() if saved.get(pin, -1) <= at}

    def saved_together(self, pairs: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those pairs of pin ids that some public board holds both of, by saves that count for others."""
        one, other = saves.alias(), saves.alias()
        joined = one.join(other, other.c.board == one.c.board).join(boards, boards.c.board == one.c.board)
        chosen = (
            select(one.c.save)
            .select_from(joined)
            .where(one.c.gone.is_(False), other.c.gone.is_(False), boards.c.secret.is_(False))
            .where(counts(one.c.person), counts(other.c.person), counts(boards.c.owner))
            .where(open_pin(one.c.pin_id), open_pin(other.c.pin_id))
            .where(one.c.pin_id == bindparam("one"), other.c.pin_id == bindparam("other"))
            .limit(1)
        )
        with self.store.read() as db:
            return {
                pair
                for pair in dict.fromkeys(pairs)
                if db.execute(chosen, {"one": pair[0], "other": pair[1]}).first() is not None
            }

    def boards_holding(
        self, pins: Mapping[str, float], *, without: Sequence[str] = (), owner: str | None = None, k: int = 20
    ) -> list[tuple[Board, float, list[str]]]:
        """The public boards that hold most of these weighted pins for their size: board, likeness (0..1), shared pins.

        Likeness is the sum of the shared pins' weights over the root of the board's size times the pins' length. Boards of
        `without`, and those of the person `owner`, are left out.
        """
        worth: dict[str, float] = {}
        shared: dict[str, list[str]] = {}
        with self.store.read() as db:
            mine = None if owner is None else find(db, [owner]).get(owner)
            for part in chunks(list(pins)):
                chosen = _SAVES.with_only_columns(saves.c.board, saves.c.pin_id, boards.c.owner)
                for row in db.execute(chosen.where(saves.c.pin_id.in_(part))):
                    if row.board in without or (mine is not None and row.owner == mine.number):
                        continue
                    worth[row.board] = worth.get(row.board, 0.0) + pins[row.pin_id]
                    shared.setdefault(row.board, []).append(row.pin_id)
            some = sorted(worth, key=lambda name: (-worth[name], name))[: max(200, 5 * k)]
            rows: list[Any] = []
            for part in chunks(some):
                rows += db.execute(select(boards).where(boards.c.board.in_(part), visible(None))).all()
            found = {board.id: board for board in described(db, rows)} if rows else {}
        length = sum(weight * weight for weight in pins.values()) ** 0.5 or 1.0
        scored = [
            (board, worth[name] / (length * max(board.saves, 1) ** 0.5), shared[name])
            for name, board in found.items()
        ]
        return sorted(scored, key=lambda each: (-each[1], each[0].id))[:k]

    def _events_in_parts(self, number: int, k: int) -> list[dict[str, Any]]:
        """The newest of closed days (`days`)."""
        raise NotImplementedError


class _Positions:
    """Gives each name its position, in order of first appearance."""

    def __init__(self) -> None:
        self.known: dict[Any, int] = {}

    def of(self, names: Sequence[Any]) -> NDArray[np.int64]:
        known = self.known
        return np.fromiter(
            (known.setdefault(name, len(known)) for name in names), dtype=np.int64, count=len(names)
        )


_SAVES = (
    select(
        saves.c.save, saves.c.board, saves.c.person, saves.c.pin_id, saves.c.pin, saves.c.at, boards.c.owner
    )
    .select_from(saves.join(boards, boards.c.board == saves.c.board))
    .where(saves.c.gone.is_(False), boards.c.secret.is_(False))
    .where(counts(saves.c.person), counts(boards.c.owner), open_pin(saves.c.pin_id))
)


def _parts(db: Any, chosen: Any) -> Iterator[Sequence[Any]]:
    """Rows in parts, by the number of the save, so that memory stays bounded."""
    after = 0
    while rows := db.execute(chosen.where(saves.c.save > after).order_by(saves.c.save).limit(ROWS)).all():
        yield rows
        after = rows[-1][0]


def _pairs(db: Any, persons: _Positions) -> NDArray[np.int32]:
    chosen = select(follows.c.person, follows.c.target).where(
        follows.c.kind == "person", counts(follows.c.person)
    )
    known = persons.known
    found = []
    for row in db.execute(chosen):
        target = pseudonym_number(row.target)
        if row.person in known and target in known:  # only who saved something under consent is known
            found.append((known[row.person], known[target]))
    return np.array(sorted(found), dtype=np.int32).reshape(-1, 2)


def _newest(pairs: Any) -> Iterator[tuple[str, int]]:
    """Pairs of pin and time, oldest first, so that a dictionary of them keeps the newest."""
    return iter(sorted(((pin, at) for pin, at in pairs if pin is not None), key=lambda pair: pair[1]))


def _joined(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(columns) if columns else np.zeros(0, dtype=np.int64)
