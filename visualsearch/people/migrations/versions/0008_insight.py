"""Releases of figures about people with what they cost, claims of domains, and pins that come out later."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this state."""
    op.create_table(
        "releases",
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("epsilon", sa.Float(), nullable=False),
        sa.Column("delta", sa.Float(), nullable=False),
        sa.Column("rho", sa.Float(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("release", name=op.f("pk_releases")),
    )
    op.create_table(
        "spendings",
        sa.Column("data_set", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("rho", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("data_set", "release", name=op.f("pk_spendings")),
    )
    op.create_table(
        "budgets",
        sa.Column("data_set", sa.Text(), nullable=False),
        sa.Column("epsilon", sa.Float(), nullable=False),
        sa.Column("delta", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("data_set", name=op.f("pk_budgets")),
    )
    op.create_table(
        "domains",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("verified", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("domain", "merchant", name=op.f("pk_domains")),
    )
    op.create_index(
        "ux_domains_verified",
        "domains",
        ["domain"],
        unique=True,
        sqlite_where=sa.text("verified IS NOT NULL"),
        postgresql_where=sa.text("verified IS NOT NULL"),
    )
    op.create_table(
        "planned",
        sa.Column(
            "plan",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
        ),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("board", sa.Text(), nullable=False),
        sa.Column("pin_id", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("publish_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["board"], ["boards.board"], name=op.f("fk_planned_board"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_planned_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("plan", name=op.f("pk_planned")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_planned_publish_at"), "planned", ["publish_at"], unique=False)
    op.create_index(op.f("ix_planned_person"), "planned", ["person"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("ix_planned_person"), table_name="planned")
    op.drop_index(op.f("ix_planned_publish_at"), table_name="planned")
    op.drop_table("planned")
    op.drop_index("ux_domains_verified", table_name="domains")
    op.drop_table("domains")
    op.drop_table("budgets")
    op.drop_table("spendings")
    op.drop_table("releases")
