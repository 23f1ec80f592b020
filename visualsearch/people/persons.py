"""Persons: from an application's key to a random pseudonym, what they declared, and what they allow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, update

from visualsearch.errors import ConsentError, UnknownNameError, UsageError

from .model import (
    PROFILE,
    Consent,
    ConsentLevel,
    Person,
    Pins,
    new_pseudonym,
    pseudonym_number,
    pseudonym_text,
)
from .schema import marks, people
from .store import Store, among, chunks

LONGEST_KEY = 200
LONGEST_WORD = 200


class Known(NamedTuple):
    """A person inside a transaction: the pseudonym's number, and what they allow."""

    number: int
    consent: Consent


class Base:
    """What every part of the record has: the store, the pins, and a clock in milliseconds."""

    store: Store
    pins: Pins
    now: Callable[[], int]


_KNOWN = (
    "SELECT p.key, p.person, c.level, c.searches, c.clicks, c.profile, c.sites, c.paused"
    " FROM people p LEFT JOIN consent c ON c.person = p.person WHERE p."
)
PERSONS = "persons"
"""The mark that counts how often a key stopped leading to a person."""
OPEN = Consent()
"""What a person allows who chose nothing."""


def check_key(name: object) -> str:
    """A person's key as it may be stored. Raises UsageError."""
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_KEY or not name.isprintable():
        shown = repr(name)[:60]
        raise UsageError(
            f"{shown} cannot be a person's key",
            f"a key is printable text of 1 to {LONGEST_KEY} characters",
            "Give the id by which your application knows the person",
        )
    return name


def find(db: Connection, names: Iterable[str]) -> dict[str, Known]:
    """Those of the names, keys or pseudonyms, that are known."""
    wanted = list(dict.fromkeys(names))
    numbers = {number: name for name in wanted if (number := pseudonym_number(name)) is not None}
    found = {row[0]: Known(row[1], _consent(row)) for row in among(db, _KNOWN + "key", wanted)}
    for row in among(db, _KNOWN + "person", list(numbers)):
        found.setdefault(numbers[row[1]], Known(row[1], _consent(row)))
    return found


def by_numbers(db: Connection, numbers: Sequence[int]) -> list[Known]:
    """Those of the numbers that are somebody's."""
    return [Known(row[1], _consent(row)) for row in among(db, _KNOWN + "person", numbers)]


def renumbered(db: Connection, store: Store) -> None:
    """Say in a transaction that a key no longer leads to the person it led to: whoever remembered it looks again."""
    value = int(db.execute(select(marks.c.value).where(marks.c.name == PERSONS)).scalar() or 0)
    store.upsert(db, marks, {"name": PERSONS, "value": value + 1})


def need(db: Connection, store: Store, names: Iterable[str], now: int) -> dict[str, Known]:
    """The persons of those names; keys that are new get a pseudonym. Raises UnknownNameError for a pseudonym nobody has."""
    wanted = sorted(dict.fromkeys(names))  # sorted, so that two servers never wait for each other's rows
    found = find(db, wanted)
    fresh = [name for name in wanted if name not in found]
    if not fresh:
        return found
    for name in fresh:
        if pseudonym_number(check_key(name)) is not None:
            raise unknown(name)
    store.insert(
        db, people, [(new_pseudonym(), name, now) for name in fresh], columns=("person", "key", "created")
    )
    return found | find(db, fresh)


def resolved(db: Connection, store: Store | None, names: Iterable[str], now: int) -> dict[str, Known]:
    """The persons of those names; keys that are new get a pseudonym, unless there is no store. Unknown ones are left out."""
    wanted = set(names)
    known = find(db, wanted if store is None else {n for n in wanted if pseudonym_number(n) is not None})
    if store is not None:
        known |= need(db, store, [name for name in wanted if pseudonym_number(name) is None], now)
    return known


def one(db: Connection, name: str) -> Known:
    """One known person. Raises UnknownNameError."""
    found = find(db, [name]).get(name)
    if found is None:
        raise unknown(name)
    return found


def unknown(name: str) -> UnknownNameError:
    """No such person. The message names nobody else."""
    return UnknownNameError("person", name, [], "A person is known from their first save or event on")


def storing(db: Connection, store: Store, name: str, now: int) -> Known:
    """One person who lets their deeds be stored, made if new. Raises ConsentError."""
    known = need(db, store, [check_key(name)], now)[name]
    if known.consent.level == ConsentLevel.OFF:
        raise ConsentError(
            f"nothing is stored of {name!r}",
            "their consent is off",
            "They can turn it on: people.consent(person, 'on')",
        )
    if known.consent.level == ConsentLevel.SESSION:
        touch(db, store, known.number, now)
    return known


def touch(db: Connection, store: Store, number: int, now: int) -> None:
    """Let the session go on of a person whose consent ends with it: from its last deed on, their time runs."""
    mark = "?" if store.sqlite else "%s"
    sql = (
        f"INSERT INTO sessions (person, label, started, last) VALUES ({', '.join([mark] * 4)})"
        " ON CONFLICT (person, label) DO UPDATE SET last = excluded.last"
    )
    db.exec_driver_sql(sql, (number, "", now, now))


def _consent(row: Sequence[Any]) -> Consent:
    """The columns of `_KNOWN` from the level on."""
    if row[2] is None:
        return OPEN
    return Consent(ConsentLevel(row[2]), *(bool(value) for value in row[3:8]))


class Persons(Base):
    """Who is known, and what they declared."""

    def person(self, name: str) -> Person:
        """A person by key or pseudonym. Raises UnknownNameError."""
        with self.store.read() as db:
            known = one(db, name)
            row = db.execute(select(people).where(people.c.person == known.number)).one()
        profile = {column: value for column in PROFILE if (value := row._mapping[column]) is not None}
        if "interests" in profile:
            profile["interests"] = json.loads(profile["interests"])
        return Person(pseudonym_text(row.person), row.key, known.consent, profile, row.created)

    def count(self) -> int:
        """How many persons are known."""
        with self.store.read() as db:
            return int(db.execute(select(func.count()).select_from(people)).scalar_one())

    def declare(self, name: str, **profile: Any) -> Person:
        """Keep what a person declared of themselves: locale, region, age_band, gender, interests (a list), device. None removes.

        Raises UnknownNameError for another field, ConsentError where the switch `profile` is off.
        """
        self.store.write(self.declaring(name, **profile))
        return self.person(name)

    def declaring(self, name: str, **profile: Any) -> Callable[[Connection], bool]:
        """The work of `declare`, for the writing thread. Without a field it only makes the person known."""
        values = _profile(profile)

        def work(db: Connection) -> bool:
            known = storing(db, self.store, name, self.now())
            if values and not known.consent.profile:
                raise ConsentError(
                    f"no profile of {name!r} is stored",
                    "they turned `profile` off",
                    "They can turn it on: people.consent(person, profile=True)",
                )
            if values:
                db.execute(update(people).where(people.c.person == known.number).values(**values))
            return True

        return work

    def drop_keys(self, names: Iterable[str] | None = None) -> int:
        """Forget which pseudonym belongs to which of the application's keys; of all persons, or of some. How many had one."""
        chosen = None if names is None else list(names)

        def work(db: Connection) -> int:
            renumbered(db, self.store)
            dropped = update(people).values(key=None).where(people.c.key.is_not(None))
            if chosen is None:
                return db.execute(dropped).rowcount
            numbers = [known.number for known in find(db, chosen).values()]
            return sum(db.execute(dropped.where(people.c.person.in_(p))).rowcount for p in chunks(numbers))

        dropped: int = self.store.write(work)
        self._erase_bytes()
        return dropped

    def _erase_bytes(self) -> None:
        """What was deleted leaves the files (`privacy`)."""
        raise NotImplementedError


def _profile(given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a declared profile. Raises UsageError."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in PROFILE:
            raise UnknownNameError("profile field", name, PROFILE)
        words = value if name == "interests" else [value]
        if value is not None and not (
            isinstance(words, (list, tuple))
            and all(isinstance(word, str) and len(word) <= LONGEST_WORD for word in words)
        ):
            wanted = "a list of words" if name == "interests" else "text"
            raise UsageError(
                f"cannot keep {name}", f"it must be {wanted} of at most {LONGEST_WORD} characters"
            )
        listed = json.dumps(list(words), ensure_ascii=False) if name == "interests" and words else None
        values[name] = listed if name == "interests" else value
    return values
