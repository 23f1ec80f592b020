"""Experiments, and who met them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this state."""
    op.create_table(
        "experiments",
        sa.Column("experiment", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("ramps", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("stopped", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", name=op.f("pk_experiments")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_experiments_name_version")),
    )
    op.create_table(
        "exposures",
        sa.Column("experiment", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment"],
            ["experiments.experiment"],
            name=op.f("fk_exposures_experiment"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_exposures_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("experiment", "person", "unit", name=op.f("pk_exposures")),
    )
    op.create_index(op.f("ix_exposures_person"), "exposures", ["person"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("ix_exposures_person"), table_name="exposures")
    op.drop_table("exposures")
    op.drop_table("experiments")
