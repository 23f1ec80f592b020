"""Verdicts, and what they are about."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this state."""
    op.create_table(
        "verdicts",
        sa.Column("verdict", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("history", sa.Text(), nullable=False),
        sa.Column("spam", sa.Boolean(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("decided", sa.BigInteger(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("appeal", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("verdict", name=op.f("pk_verdicts")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_verdicts_state"), "verdicts", ["state"], unique=False)
    _members("judged_pins", sa.Column("pin_id", sa.Text(), nullable=False))
    person = sa.ForeignKeyConstraint(
        ["person"], ["people.person"], name=op.f("fk_judged_people_person"), ondelete="CASCADE"
    )
    _members("judged_people", sa.Column("person", sa.BigInteger(), nullable=False), person)
    _members("judged_sites", sa.Column("site", sa.Text(), nullable=False))


def _members(name: str, column: "sa.Column[Any]", *more: sa.ForeignKeyConstraint) -> None:
    op.create_table(
        name,
        sa.Column("verdict", sa.BigInteger(), nullable=False),
        column,
        sa.Column("level", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["verdict"], ["verdicts.verdict"], name=op.f(f"fk_{name}_verdict"), ondelete="CASCADE"
        ),
        *more,
        sa.PrimaryKeyConstraint("verdict", column.name, name=op.f(f"pk_{name}")),
    )
    op.create_index(op.f(f"ix_{name}_{column.name}"), name, [column.name], unique=False)


def downgrade() -> None:
    """Go back."""
    for name, column in (("judged_sites", "site"), ("judged_people", "person"), ("judged_pins", "pin_id")):
        op.drop_index(op.f(f"ix_{name}_{column}"), table_name=name)
        op.drop_table(name)
    op.drop_index(op.f("ix_verdicts_state"), table_name="verdicts")
    op.drop_table("verdicts")
