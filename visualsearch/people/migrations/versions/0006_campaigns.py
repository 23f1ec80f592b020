"""Campaigns, the places where they were shown, the ledger of what they pay, and advertisers that people hid."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0010"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Go to this state."""
    op.create_table(
        "campaigns",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("advertiser", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("daily", sa.BigInteger(), nullable=True),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("stopped", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", name=op.f("pk_campaigns")),
    )
    _placements()
    op.create_table(
        "charges",
        sa.Column("charge", NUMBER, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("placement", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("charge", name=op.f("pk_charges")),
        sa.UniqueConstraint("event", name=op.f("uq_charges_event")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_charges_campaign_day"), "charges", ["campaign", "day"], unique=False)
    op.create_index(op.f("ix_charges_placement"), "charges", ["placement"], unique=False)
    op.create_table(
        "tallies",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("shown", sa.BigInteger(), nullable=False),
        sa.Column("fresh", sa.BigInteger(), nullable=False),
        sa.Column("acted", sa.BigInteger(), nullable=False),
        sa.Column("hidden", sa.BigInteger(), nullable=False),
        sa.Column("predicted", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "surface", "slot", name=op.f("pk_tallies")),
    )
    op.create_table(
        "unwanted",
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("advertiser", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_unwanted_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person", "advertiser", name=op.f("pk_unwanted")),
    )
    op.create_table(
        "conversions",
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("placement", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event", name=op.f("pk_conversions")),
    )
    op.create_index(op.f("ix_conversions_campaign_at"), "conversions", ["campaign", "at"], unique=False)


def _placements() -> None:
    op.create_table(
        "placements",
        sa.Column("placement", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=True),
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("pay", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("predicted", sa.Float(), nullable=False),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_placements_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("placement", name=op.f("pk_placements")),
    )
    for name, columns in (
        ("ix_placements_person_at", ["person", "at"]),
        ("ix_placements_campaign_at", ["campaign", "at"]),
        ("ix_placements_at", ["at"]),
    ):
        op.create_index(op.f(name), "placements", columns, unique=False)


def downgrade() -> None:
    """Go back."""
    for name in ("conversions", "unwanted", "tallies", "charges", "placements", "campaigns"):
        op.drop_table(name)
