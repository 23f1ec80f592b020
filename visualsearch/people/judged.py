"""Verdicts in the record: their tables, and what of the record counts and is shown in spite of them.

A verdict changes no other row. It lies over them, so that ending it leaves everything exactly as it was.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    Select,
    Table,
    Text,
    exists,
    or_,
    select,
)

from .schema import SCHEMA


class Level(IntEnum):
    """What a verdict does now. From HOLD on, others do not see it and it counts for nobody; REMOVE hides from the author too."""

    NOTHING = 0
    LOWER = 1
    HOLD = 2
    HIDE = 3
    REMOVE = 4


verdicts = Table(
    "verdicts",
    SCHEMA,
    Column("verdict", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("history", Text, nullable=False),
    Column("spam", Boolean),
    Column("at", BigInteger, nullable=False),
    Column("decided", BigInteger),
    Column("until", BigInteger),
    Column("appeal", Text, nullable=False),
    Index(None, "state"),
    sqlite_autoincrement=True,
)
"""What was judged, by rules or by a person. `evidence` and `history` are JSON and name nobody. `spam`: what a person said."""


def _verdict() -> Column[int]:
    return Column(
        "verdict",
        BigInteger,
        ForeignKey("verdicts.verdict", ondelete="CASCADE"),
        nullable=False,
        primary_key=True,
    )


def _person() -> Column[int]:
    return Column(
        "person",
        BigInteger,
        ForeignKey("people.person", ondelete="CASCADE"),
        nullable=False,
        primary_key=True,
    )


judged_pins = Table(
    "judged_pins",
    SCHEMA,
    _verdict(),
    Column("pin_id", Text, primary_key=True),
    Column("level", Integer, nullable=False),
    Index(None, "pin_id"),
)
judged_people = Table(
    "judged_people",
    SCHEMA,
    _verdict(),
    _person(),
    Column("level", Integer, nullable=False),
    Index(None, "person"),
)
judged_sites = Table(
    "judged_sites",
    SCHEMA,
    _verdict(),
    Column("site", Text, primary_key=True),
    Column("level", Integer, nullable=False),
    Index(None, "site"),
)
"""Whom and what each verdict is about. `level` is what is done now: 0 nothing, up to 4, removed. Nothing else is changed."""


appeals = Table(
    "appeals",
    SCHEMA,
    _verdict(),
    _person(),
    Column("at", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("decided", BigInteger),
    Column("why", Text, nullable=False),
    Column("pins", Text, nullable=False),
    Index(None, "person"),
)
"""What people say against verdicts on them. `pins` is JSON: those that a granted appeal let go."""


def honest(person: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether no verdict keeps a person's deeds from counting for others."""
    return ~exists().where(judged_people.c.person == person, judged_people.c.level >= int(Level.HOLD))


def dishonest() -> Select[Any]:
    """The numbers of the persons of whom `honest` is false."""
    return select(judged_people.c.person).where(judged_people.c.level >= int(Level.HOLD)).distinct()


def open_pin(pin: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether no verdict keeps a pin from others."""
    return ~exists().where(judged_pins.c.pin_id == pin, judged_pins.c.level >= int(Level.HOLD))


def shown(
    pin: ColumnElement[str], person: ColumnElement[int], viewer: int | BindParameter[int] | None
) -> ColumnElement[bool]:
    """Whether a save may be seen: the pin and who saved it are judged by nobody, or it is the viewer's own and not removed."""
    seen = open_pin(pin) & honest(person)
    if viewer is None:
        return seen
    removed = exists().where(judged_pins.c.pin_id == pin, judged_pins.c.level >= int(Level.REMOVE))
    return or_(seen, (person == viewer) & ~removed)
