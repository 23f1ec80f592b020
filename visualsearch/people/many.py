"""Many people at once: those whose keys begin alike, as simulated ones do, are counted and taken out together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from visualsearch.errors import UsageError

from . import parts as disk
from .judged import appeals, judged_people
from .model import pseudonym_text
from .persons import renumbered
from .privacy import Privacy
from .schema import (
    boards,
    collaborators,
    comments,
    connections,
    consent,
    events,
    exposures,
    follows,
    imports,
    mentions,
    people,
    planned,
    reports,
    saves,
    sessions,
    sites,
)
from .schema_lists import lists
from .schema_promoted import acts, placements, unwanted
from .store import Store, chunks
from .tables import fingerprint

_OWN = (
    *(reports, mentions, collaborators, follows, connections, comments, sites, sessions, exposures, events),
    *(placements, acts, unwanted, planned, judged_people, appeals, lists, consent),
)


class Many(Privacy):
    """Counts and removes people by the beginning of their keys."""

    def count_others(self, prefix: str) -> int:
        """How many people have a key that does not begin so, or none."""
        with self.store.read() as db:
            others = select(func.count()).select_from(people)
            theirs = or_(people.c.key.is_(None), ~_begins(prefix))
            return int(db.execute(others.where(theirs)).scalar_one())

    def import_key(self, path: str | Path, what: str) -> str:
        """The name under which `import_file` remembers how far it came with a file."""
        return f"{what}:{fingerprint(Path(path))}"

    def forget_all(self, prefix: str, files: Iterable[str] = ()) -> dict[str, int]:
        """Remove everybody whose key begins so, from every table and Parquet file; rows by table.

        What others saved from their boards then counts as taken from whom they had it. `files` are names by `import_key`
        that are forgotten too, so that these files can be imported again. Stopped, it is done by calling it again.
        Unlike `forget`, it gives no receipt and does not search the files' bytes: it is for people who do not exist.
        """
        if not prefix:
            raise UsageError("will not remove everybody", "no beginning of a key was given", "Give one")
        mine = _begins(prefix)
        with self.upkeep():
            self._sweep()
            with self.store.read() as db:
                numbers = list(db.execute(select(people.c.person).where(mine)).scalars())
            gone = self._drop_parts(set(numbers))
            removed: dict[str, int] = self.store.write(
                lambda db: _erased(db, self.store, mine, numbers, list(files))
            )
            self._refresh()
        removed["events"] = removed.get("events", 0) + gone
        self._erase_bytes()
        return {name: count for name, count in removed.items() if count}

    def _drop_parts(self, numbers: set[int]) -> int:
        """Write the parts that hold those people's events anew without them; how many events."""
        import pyarrow as pa
        import pyarrow.compute as pc

        theirs = pa.array(sorted(numbers), pa.int64())
        count = 0
        for part in self.part_files() if numbers else ():
            persons = disk.read_part(self.store.folder, part.file, ["person"]).column(0)
            found = pc.is_in(persons, value_set=theirs)
            mine = pc.sum(found).as_py() or 0
            if not mine:
                continue
            table = disk.read_part(self.store.folder, part.file)
            self._keep(part, table, pc.invert(found))
            count += mine
        if numbers:
            self._clean(sorted(numbers))
        return count


def _begins(prefix: str) -> ColumnElement[bool]:
    """Whose key begins so; SQLite's LIKE would take capital letters for small ones."""
    return func.substr(people.c.key, 1, len(prefix)) == prefix


def _erased(
    db: Connection, store: Store, mine: ColumnElement[bool], numbers: Sequence[int], files: Sequence[str]
) -> dict[str, int]:
    theirs = select(people.c.person).where(mine).scalar_subquery()
    places = select(boards.c.board).where(boards.c.owner.in_(theirs)).scalar_subquery()
    lost = or_(saves.c.person.in_(theirs), saves.c.board.in_(places))
    removed: dict[str, int] = {}
    _past(db, lost)
    removed["saves"] = db.execute(delete(saves).where(lost)).rowcount
    names = [pseudonym_text(number) for number in numbers]
    of_people = follows.c.kind == "person"
    removed["followers"] = sum(
        db.execute(delete(follows).where(of_people, follows.c.target.in_(part))).rowcount
        for part in chunks(names)
    )
    of_boards = (follows.c.kind == "board") & follows.c.target.in_(places)
    removed["followers"] += db.execute(delete(follows).where(of_boards)).rowcount
    for table in _OWN:
        removed[table.name] = db.execute(delete(table).where(table.c.person.in_(theirs))).rowcount
    removed["boards"] = db.execute(delete(boards).where(boards.c.owner.in_(theirs))).rowcount
    for part in chunks(files):
        removed["imports"] = (
            removed.get("imports", 0) + db.execute(delete(imports).where(imports.c.file.in_(part))).rowcount
        )
    renumbered(db, store)
    removed["people"] = db.execute(delete(people).where(mine)).rowcount
    return removed


def _past(db: Connection, lost: Any) -> None:
    """Saves that stay and were taken from one that goes are counted as taken from the one before it."""
    before = saves.alias()
    source = select(before.c.repin_of).where(before.c.save == saves.c.repin_of).scalar_subquery()
    going = select(saves.c.save).where(lost).scalar_subquery()
    staying = update(saves).where(saves.c.repin_of.in_(going), ~lost)
    while db.execute(staying.values(repin_of=source)).rowcount:
        continue
