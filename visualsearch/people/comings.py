"""Saved pins that leave the index and come back: pages of them, and what becomes of their saves. Many rows a statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, or_, select, update

from .model import PinRef
from .schema import saves, tombstones
from .store import Store, chunks

PAGE = 5_000
"""Pins of a page and of a transaction: others' saves wait as long."""
Changed = Sequence[tuple[str, bytes | None]]
_ALIVE = select(saves.c.pin, saves.c.pin_id, saves.c.pin_hash).where(saves.c.gone.is_(False))
_LOST = select(tombstones.c.pin, tombstones.c.pin_id, tombstones.c.pin_hash)


def held_pages(store: Store, changed: Changed | None) -> Iterator[list[PinRef]]:
    """The saved pins that are not gone, each once: of the changed pins, or all."""
    if changed is None:
        yield from _pages(store, _ALIVE, saves.c.pin_id)
        return
    for part in chunks(list(changed)):
        with store.read() as db:
            rows = db.execute(_ALIVE.where(saves.c.pin_id.in_([name for name, _ in part]))).all()
        yield list({row.pin_id: PinRef(*row) for row in rows}.values())


def dead_pages(store: Store, changed: Changed | None) -> Iterator[list[PinRef]]:
    """The saved pins that left the index: those of the changed pins or pictures, or all."""
    if changed is None:
        yield from _pages(store, _LOST, tombstones.c.pin_id)
        return
    for part in chunks(list(changed)):
        ids, hashes = [name for name, _ in part], [digest for _, digest in part if digest is not None]
        theirs = or_(tombstones.c.pin_id.in_(ids), tombstones.c.pin_hash.in_(hashes))
        with store.read() as db:
            rows = db.execute(_LOST.where(theirs)).all()
        yield [PinRef(*row) for row in rows]


def _pages(store: Store, chosen: Any, name: Any) -> Iterator[list[PinRef]]:
    """Rows of pins by id, a page at a time: nothing of what is done with a page is read in the next one."""
    after = ""
    page = chosen.where(name > bindparam("after")).order_by(name).limit(PAGE)
    while True:
        with store.read() as db:
            rows = db.execute(page, {"after": after}).all()
        if not rows:
            return
        yield list({row.pin_id: PinRef(*row) for row in rows}.values())
        after = rows[-1].pin_id


def removed(db: Connection, store: Store, refs: Sequence[PinRef], now: int) -> int:
    """Keep a tombstone of each pin, and mark its saves gone; how many saves."""
    names = sorted({ref.id for ref in refs})
    for part in chunks(names):
        db.execute(delete(tombstones).where(tombstones.c.pin_id.in_(part)))
    values = {ref.id: (ref.id, ref.number, ref.hash, now) for ref in refs}
    store.insert(db, tombstones, list(values.values()), columns=("pin_id", "pin", "pin_hash", "at"))
    marked = 0
    for part in chunks(names):
        hit = update(saves).where(saves.c.pin_id.in_(part), saves.c.gone.is_(False))
        marked += db.execute(hit.values(gone=True)).rowcount
    return marked


def returned(
    db: Connection, refs: Sequence[PinRef], remove: Callable[[Connection, Sequence[int]], None]
) -> int:
    """Bring back the saves of pictures; of two on one board, the one that is not gone stays. How many are back."""
    ids = [ref.id for ref in refs]
    by_hash = {ref.hash: ref for ref in refs if ref.hash is not None}
    by_id = {ref.id: ref for ref in refs}
    same = or_(saves.c.pin_hash.in_(list(by_hash)), saves.c.pin_id.in_(ids))
    chosen = select(saves.c.save, saves.c.board, saves.c.pin_id, saves.c.pin_hash)
    rows = db.execute(chosen.where(saves.c.gone, same).order_by(saves.c.save)).all()
    names = sorted({row.board for row in rows})
    taken = {(row[0], row[1]) for part in chunks(names) for row in db.execute(_on(part, ids))}
    back, twins = [], []
    for row in rows:
        ref = by_hash.get(row.pin_hash) or by_id.get(row.pin_id)
        if ref is None or (ref.hash not in (None, row.pin_hash) and row.pin_hash is not None):
            continue  # another picture under an id that is used again
        if (row.board, ref.id) in taken:
            twins.append(row.save)
            continue
        taken.add((row.board, ref.id))
        back.append({"number": row.save, "p": ref.number, "i": ref.id, "h": ref.hash})
    remove(db, twins)
    if back:
        db.execute(_RETURN, back)
    known = or_(
        tombstones.c.pin_hash.in_(list(by_hash)),
        tombstones.c.pin_id.in_(ids) & tombstones.c.pin_hash.is_(None),
        tombstones.c.pin_id.in_([ref.id for ref in refs if ref.hash is None]),
    )
    db.execute(delete(tombstones).where(known))
    return len(back)


_RETURN = (
    update(saves)
    .where(saves.c.save == bindparam("number"))
    .values(gone=False, pin=bindparam("p"), pin_id=bindparam("i"), pin_hash=bindparam("h"))
)


def _on(names: Sequence[str], ids: Sequence[str]) -> Any:
    """The saves that are not gone of some pins on some boards."""
    chosen = select(saves.c.board, saves.c.pin_id).where(saves.c.gone.is_(False))
    return chosen.where(saves.c.board.in_(names), saves.c.pin_id.in_(ids))
