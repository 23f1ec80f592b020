"""Lists that were served with something to remember."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this state."""
    op.create_table(
        "lists",
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("ms", sa.Float(), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("diversity", sa.Float(), nullable=True),
        sa.Column("traded", sa.Boolean(), nullable=True),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_lists_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer", name=op.f("pk_lists")),
    )
    op.create_index(op.f("ix_lists_person_at"), "lists", ["person", "at"], unique=False)
    op.create_index(op.f("ix_lists_at"), "lists", ["at"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("ix_lists_at"), table_name="lists")
    op.drop_index(op.f("ix_lists_person_at"), table_name="lists")
    op.drop_table("lists")
