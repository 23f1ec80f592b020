"""Who acted on a promoted pin, so that a verdict on a person finds what they cost; and what people say against verdicts."""

import hashlib
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ROWS = 1000


def upgrade() -> None:
    """Go to this state: what was billed of people who are known as who saw the pin, and of the open days' events."""
    op.create_table(
        "acts",
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("placement", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_acts_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event", name=op.f("pk_acts")),
    )
    op.create_index(op.f("ix_acts_person"), "acts", ["person"], unique=False)
    op.create_index(op.f("ix_acts_placement"), "acts", ["placement"], unique=False)
    _appeals()
    # What may be valid has no reason of its own against it: it was billed, or another event had been.
    op.execute(
        "INSERT INTO acts (event, person, placement, kind) SELECT c.event, p.person, c.placement, p.pay"
        " FROM charges c JOIN placements p ON p.placement = c.placement WHERE p.person IS NOT NULL"
        " AND (c.kind IN ('charge', 'over') OR c.reason = 'the placement was paid for')"
    )
    _told()


def _appeals() -> None:
    op.create_table(
        "appeals",
        sa.Column("verdict", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("decided", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("pins", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_appeals_person"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["verdict"], ["verdicts.verdict"], name=op.f("fk_appeals_verdict"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("verdict", "person", name=op.f("pk_appeals")),
    )
    op.create_index(op.f("ix_appeals_person"), "appeals", ["person"], unique=False)


def _told() -> None:
    """Those of placements that were shown to nobody known: by the events that are still in the database."""
    db = op.get_bind()
    rows = db.execute(
        sa.text("SELECT event_id, person, variant, kind FROM events WHERE variant LIKE 'promoted:%'")
    )
    found: dict[str, tuple[int, str, str]] = {}
    for name, person, variant, kind in rows:
        mark = hashlib.sha256(name.encode()).hexdigest()
        found[mark] = (person, variant.removeprefix("promoted:"), kind)
    marks = list(found)
    for at in range(0, len(marks), _ROWS):
        part = marks[at : at + _ROWS]
        _keep(db, {mark: found[mark] for mark in part})


def _keep(db: sa.Connection, found: dict[str, tuple[int, str, str]]) -> None:
    charges, acts = (
        sa.table(name, *(sa.column(each) for each in columns))
        for name, columns in (
            ("charges", ("event", "kind", "reason")),
            ("acts", ("event", "person", "placement", "kind")),
        )
    )
    valid = charges.c.kind.in_(("charge", "over")) | (charges.c.reason == "the placement was paid for")
    billed = set(
        db.execute(sa.select(charges.c.event).where(charges.c.event.in_(list(found)), valid)).scalars()
    )
    known = set(db.execute(sa.select(acts.c.event).where(acts.c.event.in_(list(found)))).scalars())
    rows: list[dict[str, Any]] = [
        {"event": mark, "person": person, "placement": place, "kind": kind}
        for mark, (person, place, kind) in found.items()
        if mark not in known and (mark in billed or kind in ("hide", "report"))
    ]
    if rows:
        db.execute(sa.insert(acts), rows)


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("ix_appeals_person"), table_name="appeals")
    op.drop_table("appeals")
    op.drop_index(op.f("ix_acts_placement"), table_name="acts")
    op.drop_index(op.f("ix_acts_person"), table_name="acts")
    op.drop_table("acts")
