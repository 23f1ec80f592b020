"""The table of lists that were served with something to remember. It belongs to `schema.SCHEMA`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Table, Text

from .schema import SCHEMA

lists = Table(
    "lists",
    SCHEMA,
    Column("answer", Text, primary_key=True),
    Column("person", BigInteger, ForeignKey("people.person", ondelete="CASCADE"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("session", Text, nullable=False),
    Column("surface", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("ms", Float, nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("diversity", Float),
    Column("traded", Boolean),
    Column("marks", Text, nullable=False),
    Index(None, "person", "at"),
    Index(None, "at"),
)
"""Lists of an experiment, with swapped neighbours, or with fresh pins that were tried. `ms`: how long making it took.
`failed`: an arm broke, and the plain list was served. `diversity`: the mean of 1 - cosine over its pairs. `traded`: whether a
drawn pair of neighbours traded places; null where none was drawn. `marks` is JSON: pin id -> [variant, propensity]."""
