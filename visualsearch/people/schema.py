"""The tables, in SQLAlchemy Core. Every row that belongs to a person has the pseudonym's number in `person` (or `owner`)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

HEAD = "0010"
"""The newest migration; `migrations/versions` has it."""

SCHEMA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_AUTO = BigInteger().with_variant(Integer, "sqlite")


def _person(name: str = "person", primary_key: bool = False) -> Column[int]:
    return Column(
        name,
        BigInteger,
        ForeignKey("people.person", ondelete="CASCADE"),
        nullable=False,
        primary_key=primary_key,
    )


def _board(primary_key: bool = False) -> Column[str]:
    return Column(
        "board", Text, ForeignKey("boards.board", ondelete="CASCADE"), nullable=False, primary_key=primary_key
    )


people = Table(
    "people",
    SCHEMA,
    Column("person", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, unique=True),
    Column("created", BigInteger, nullable=False),
    Column("locale", Text),
    Column("region", Text),
    Column("age_band", Text),
    Column("gender", Text),
    Column("interests", Text),
    Column("device", Text),
)
consent = Table(
    "consent",
    SCHEMA,
    _person(primary_key=True),
    Column("level", Text, nullable=False),
    Column("searches", Boolean, nullable=False),
    Column("clicks", Boolean, nullable=False),
    Column("profile", Boolean, nullable=False),
    Column("sites", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "at"),
)
boards = Table(
    "boards",
    SCHEMA,
    Column("board", Text, primary_key=True),
    _person("owner"),
    Column("title", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ends", BigInteger),
    Column("secret", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("cover", Text),
    UniqueConstraint("owner", "folded"),
)
sections = Table(
    "sections",
    SCHEMA,
    Column("section", _AUTO, primary_key=True),
    _board(),
    Column("title", Text, nullable=False),
    Column("folded", Text, nullable=False),
    UniqueConstraint("board", "folded"),
    sqlite_autoincrement=True,
)
collaborators = Table(
    "collaborators",
    SCHEMA,
    _board(primary_key=True),
    _person(primary_key=True),
    Column("at", BigInteger, nullable=False),
    Index(None, "person"),
)
saves = Table(
    "saves",
    SCHEMA,
    Column("save", _AUTO, primary_key=True),
    _board(),
    Column("section", BigInteger, ForeignKey("sections.section", ondelete="SET NULL")),
    _person(),
    Column("pin", BigInteger),
    Column("pin_id", Text, nullable=False),
    Column("pin_hash", LargeBinary),
    Column("note", Text, nullable=False),
    Column("site", Text),
    Column("repin_of", BigInteger, ForeignKey("saves.save", ondelete="SET NULL")),
    Column("at", BigInteger, nullable=False),
    Column("gone", Boolean, nullable=False),
    Column("position", Float),
    Index(
        "ux_saves_board_pin_id",
        "board",
        "pin_id",
        unique=True,
        sqlite_where=text("NOT gone"),
        postgresql_where=text("NOT gone"),
    ),
    Index(None, "board", "save"),
    Index(None, "pin_id"),
    Index(None, "pin_hash"),
    Index(None, "person", "at"),
    Index(None, "repin_of"),
    Index(None, "section"),
    sqlite_autoincrement=True,
)
follows = Table(
    "follows",
    SCHEMA,
    _person(primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Index(None, "kind", "target"),
)
connections = Table(
    "connections",
    SCHEMA,
    _person(primary_key=True),
    Column("network", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)
comments = Table(
    "comments",
    SCHEMA,
    Column("comment", _AUTO, primary_key=True),
    _person(),
    Column("pin", BigInteger),
    Column("pin_id", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "pin_id"),
    Index(None, "person"),
    sqlite_autoincrement=True,
)
mentions = Table(
    "mentions",
    SCHEMA,
    Column("comment", BigInteger, ForeignKey("comments.comment", ondelete="CASCADE"), primary_key=True),
    _person(primary_key=True),
    Index(None, "person"),
)
reports = Table(
    "reports",
    SCHEMA,
    Column("comment", BigInteger, ForeignKey("comments.comment", ondelete="CASCADE"), primary_key=True),
    _person(primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "person"),
)
sites = Table(
    "sites",
    SCHEMA,
    _person(primary_key=True),
    Column("site", Text, primary_key=True),
    Column("visits", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)
sessions = Table(
    "sessions",
    SCHEMA,
    _person(primary_key=True),
    Column("label", Text, primary_key=True),
    Column("started", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Index(None, "last"),
)
events = Table(
    "events",
    SCHEMA,
    Column("event_id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("skew", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("person", BigInteger, nullable=False),
    Column("session", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("pin", BigInteger),
    Column("pin_id", Text),
    Column("surface", Text),
    Column("answer", Text),
    Column("slot", Integer),
    Column("slot_row", Integer),
    Column("slot_column", Integer),
    Column("variant", Text),
    Column("propensity", Float),
    Column("dwell_ms", BigInteger),
    Column("board", Text),
    Column("value", Float),
    Column("currency", Text),
    Column("site", Text),
    Index(None, "person", "at"),
    Index(None, "at"),
)
"""The open days' events. No foreign key: the writer checks the persons of a batch once, in the same transaction."""
tombstones = Table(
    "tombstones",
    SCHEMA,
    Column("pin_id", Text, primary_key=True),
    Column("pin", BigInteger),
    Column("pin_hash", LargeBinary),
    Column("at", BigInteger, nullable=False),
    Index(None, "pin_hash"),
)
parts = Table(
    "parts",
    SCHEMA,
    Column("file", Text, primary_key=True),
    Column("day", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("lowest", BigInteger, nullable=False),
    Column("highest", BigInteger, nullable=False),
    Column("until", Text, nullable=False),
    Column("run", BigInteger, nullable=False),
    Index(None, "day"),
    Index(None, "until"),
    Index(None, "lowest", "highest"),
)
"""Parquet files of closed days: the first and the last day of each, the range of its pseudonyms, and the rows written with it."""
imports = Table(
    "imports",
    SCHEMA,
    Column("file", Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("finished", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
)
derived = Table(
    "derived",
    SCHEMA,
    Column("place", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""Files and folders that were made from the record, and that `forget` cleans too."""
marks = Table(
    "marks",
    SCHEMA,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""How far something was followed, such as the changes of the index."""
receipts = Table(
    "receipts",
    SCHEMA,
    Column("receipt", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("removed", Text, nullable=False),
    Column("proof", Text, nullable=False),
)
tokens = Table(
    "tokens",
    SCHEMA,
    Column("digest", Text, primary_key=True),
    _person(),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Index(None, "person"),
)
experiments = Table(
    "experiments",
    SCHEMA,
    Column("experiment", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("ramps", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("stopped", BigInteger),
    Column("reason", Text, nullable=False),
    UniqueConstraint("name", "version"),
)
"""`plan` and `ramps` are JSON: what was fixed when it was made, and each ramp with its time and reason."""
exposures = Table(
    "exposures",
    SCHEMA,
    Column(
        "experiment",
        BigInteger,
        ForeignKey("experiments.experiment", ondelete="CASCADE"),
        nullable=False,
        primary_key=True,
    ),
    _person(primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("arm", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "person"),
)
"""Who met an experiment, in which arm, and when first. `unit` is empty, or a session's label where sessions are assigned."""

releases = Table(
    "releases",
    SCHEMA,
    Column("release", Text, primary_key=True),
    Column("question", Text, nullable=False),
    Column("epsilon", Float, nullable=False),
    Column("delta", Float, nullable=False),
    Column("rho", Float, nullable=False),
    Column("answer", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""Figures that were told: the question as JSON, what its noise cost, and the answer, which the same question gets again."""
spendings = Table(
    "spendings",
    SCHEMA,
    Column("data_set", Text, primary_key=True),
    Column("release", Text, primary_key=True),
    Column("rho", Float, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""What each release took from the budget of each data set that it rests on."""
budgets = Table(
    "budgets",
    SCHEMA,
    Column("data_set", Text, primary_key=True),
    Column("epsilon", Float, nullable=False),
    Column("delta", Float, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""The most that may be spent of a data set, where the owner chose another bound than the usual one."""
domains = Table(
    "domains",
    SCHEMA,
    Column("domain", Text, primary_key=True),
    Column("merchant", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("way", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("verified", BigInteger),
    Index(
        "ux_domains_verified",
        "domain",
        unique=True,
        sqlite_where=text("verified IS NOT NULL"),
        postgresql_where=text("verified IS NOT NULL"),
    ),
)
"""Who claims a domain, and whose claim was proved: one at most."""
planned = Table(
    "planned",
    SCHEMA,
    Column("plan", _AUTO, primary_key=True),
    _person(),
    _board(),
    Column("pin_id", Text),
    Column("note", Text, nullable=False),
    Column("publish_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "publish_at"),
    Index(None, "person"),
    sqlite_autoincrement=True,
)
"""A pin that goes to a board later; without a pin, the board itself, which is secret until then. `reason`: why it failed."""

EVENT_COLUMNS = tuple(column.name for column in events.columns)
