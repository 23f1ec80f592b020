"""The tables of promotion: campaigns, where they were shown, and the ledger of what they pay. They belong to `schema.SCHEMA`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, Table, Text

from .schema import SCHEMA

AUTO = BigInteger().with_variant(Integer, "sqlite")
campaigns = Table(
    "campaigns",
    SCHEMA,
    Column("campaign", Text, primary_key=True),
    Column("advertiser", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("budget", BigInteger, nullable=False),
    Column("daily", BigInteger),
    Column("spent", BigInteger, nullable=False),
    Column("plan", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("stopped", BigInteger),
    Column("reason", Text, nullable=False),
)
"""Money is whole minor units of `currency`. `spent` is the sum of the campaign's `charges`; `plan` is JSON."""
placements = Table(
    "placements",
    SCHEMA,
    Column("placement", Text, primary_key=True),
    Column("campaign", Text, nullable=False),
    Column("person", BigInteger, ForeignKey("people.person", ondelete="CASCADE")),
    Column("pin_id", Text, nullable=False),
    Column("surface", Text, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("pay", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("predicted", Float, nullable=False),
    Column("fresh", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "person", "at"),
    Index(None, "campaign", "at"),
    Index(None, "at"),
)
"""Promoted pins as they were shown, each with the price of the event that its campaign pays for."""
charges = Table(
    "charges",
    SCHEMA,
    Column("charge", AUTO, primary_key=True),
    Column("event", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("placement", Text),
    Column("amount", BigInteger, nullable=False),
    Column("day", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "campaign", "day"),
    Index(None, "placement"),
    sqlite_autoincrement=True,
)
"""The ledger: rows are added and never changed. `event` is the SHA-256 of the event's id, so that it names nobody."""
acts = Table(
    "acts",
    SCHEMA,
    Column("event", Text, primary_key=True),
    Column("person", BigInteger, ForeignKey("people.person", ondelete="CASCADE"), nullable=False),
    Column("placement", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Index(None, "person"),
    Index(None, "placement"),
)
"""Who acted on a placement: `event` and `kind` are an event's that may be billed, or that hides or reports the pin. It lets a
verdict find what a person cost. It goes with the person; the ledger stays.
"""
tallies = Table(
    "tallies",
    SCHEMA,
    Column("campaign", Text, primary_key=True),
    Column("surface", Text, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("shown", BigInteger, nullable=False),
    Column("fresh", BigInteger, nullable=False),
    Column("acted", BigInteger, nullable=False),
    Column("hidden", BigInteger, nullable=False),
    Column("predicted", Float, nullable=False),
)
"""Counts from which clicks are predicted. `acted` counts events that were paid for, `predicted` sums what was foretold."""
unwanted = Table(
    "unwanted",
    SCHEMA,
    Column("person", BigInteger, ForeignKey("people.person", ondelete="CASCADE"), primary_key=True),
    Column("advertiser", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)
"""Advertisers that a person hid for good."""
conversions = Table(
    "conversions",
    SCHEMA,
    Column("event", Text, primary_key=True),
    Column("placement", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("value", Float, nullable=False),
    Column("currency", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "campaign", "at"),
)
