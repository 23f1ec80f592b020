"""Parts of several days; the files that are derived from the record; how far the index was followed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and the column; a part that exists is of one day."""
    op.add_column("parts", sa.Column("until", sa.Text(), nullable=True))
    op.add_column("parts", sa.Column("run", sa.BigInteger(), nullable=True))
    op.execute("UPDATE parts SET until = day, run = rows")
    with op.batch_alter_table("parts") as parts:
        parts.alter_column("until", existing_type=sa.Text(), nullable=False)
        parts.alter_column("run", existing_type=sa.BigInteger(), nullable=False)
    op.create_index(op.f("ix_parts_until"), "parts", ["until"], unique=False)
    op.create_table(
        "derived",
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_derived")),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_marks")),
    )


def downgrade() -> None:
    """Drop them. Parts of several days count as their first."""
    op.drop_table("marks")
    op.drop_table("derived")
    op.drop_index(op.f("ix_parts_until"), table_name="parts")
    with op.batch_alter_table("parts") as parts:
        parts.drop_column("run")
        parts.drop_column("until")
