"""The first tables: people, boards, saves, follows, comments, events, and what forgets them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "events",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("skew", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("pin", sa.BigInteger(), nullable=True),
        sa.Column("pin_id", sa.Text(), nullable=True),
        sa.Column("surface", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("slot_row", sa.Integer(), nullable=True),
        sa.Column("slot_column", sa.Integer(), nullable=True),
        sa.Column("variant", sa.Text(), nullable=True),
        sa.Column("propensity", sa.Float(), nullable=True),
        sa.Column("dwell_ms", sa.BigInteger(), nullable=True),
        sa.Column("board", sa.Text(), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("site", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)
    op.create_index(op.f("ix_events_person_at"), "events", ["person", "at"], unique=False)
    op.create_table(
        "imports",
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file", name=op.f("pk_imports")),
    )
    op.create_table(
        "parts",
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("lowest", sa.BigInteger(), nullable=False),
        sa.Column("highest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file", name=op.f("pk_parts")),
    )
    op.create_index(op.f("ix_parts_day"), "parts", ["day"], unique=False)
    op.create_index(op.f("ix_parts_lowest_highest"), "parts", ["lowest", "highest"], unique=False)
    op.create_table(
        "people",
        sa.Column("person", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("age_band", sa.Text(), nullable=True),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("interests", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_people")),
        sa.UniqueConstraint("key", name=op.f("uq_people_key")),
    )
    op.create_table(
        "receipts",
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.Text(), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("receipt", name=op.f("pk_receipts")),
    )
    op.create_table(
        "tombstones",
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("pin", sa.BigInteger(), nullable=True),
        sa.Column("pin_hash", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pin_id", name=op.f("pk_tombstones")),
    )
    op.create_index(op.f("ix_tombstones_pin_hash"), "tombstones", ["pin_hash"], unique=False)
    op.create_table(
        "boards",
        sa.Column("board", sa.Text(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=True),
        sa.Column("secret", sa.Boolean(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["people.person"], name=op.f("fk_boards_owner"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("board", name=op.f("pk_boards")),
        sa.UniqueConstraint("owner", "folded", name=op.f("uq_boards_owner_folded")),
    )
    op.create_table(
        "comments",
        sa.Column("comment", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("pin", sa.BigInteger(), nullable=True),
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_comments_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("comment", name=op.f("pk_comments")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_comments_person"), "comments", ["person"], unique=False)
    op.create_index(op.f("ix_comments_pin_id"), "comments", ["pin_id"], unique=False)
    op.create_table(
        "connections",
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_connections_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person", "network", "name", name=op.f("pk_connections")),
    )
    op.create_table(
        "consent",
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("searches", sa.Boolean(), nullable=False),
        sa.Column("clicks", sa.Boolean(), nullable=False),
        sa.Column("profile", sa.Boolean(), nullable=False),
        sa.Column("sites", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_consent_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_consent")),
    )
    op.create_table(
        "follows",
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_follows_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person", "kind", "target", name=op.f("pk_follows")),
    )
    op.create_index(op.f("ix_follows_kind_target"), "follows", ["kind", "target"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_sessions_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person", "label", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_last"), "sessions", ["last"], unique=False)
    op.create_table(
        "sites",
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("visits", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_sites_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person", "site", name=op.f("pk_sites")),
    )
    op.create_table(
        "collaborators",
        sa.Column("board", sa.Text(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["board"], ["boards.board"], name=op.f("fk_collaborators_board"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_collaborators_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("board", "person", name=op.f("pk_collaborators")),
    )
    op.create_index(op.f("ix_collaborators_person"), "collaborators", ["person"], unique=False)
    op.create_table(
        "mentions",
        sa.Column("comment", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["comment"], ["comments.comment"], name=op.f("fk_mentions_comment"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_mentions_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("comment", "person", name=op.f("pk_mentions")),
    )
    op.create_index(op.f("ix_mentions_person"), "mentions", ["person"], unique=False)
    op.create_table(
        "reports",
        sa.Column("comment", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["comment"], ["comments.comment"], name=op.f("fk_reports_comment"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_reports_person"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("comment", "person", name=op.f("pk_reports")),
    )
    op.create_index(op.f("ix_reports_person"), "reports", ["person"], unique=False)
    op.create_table(
        "sections",
        sa.Column("section", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("board", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["board"], ["boards.board"], name=op.f("fk_sections_board"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("section", name=op.f("pk_sections")),
        sa.UniqueConstraint("board", "folded", name=op.f("uq_sections_board_folded")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "saves",
        sa.Column("save", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("board", sa.Text(), nullable=False),
        sa.Column("section", sa.BigInteger(), nullable=True),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("pin", sa.BigInteger(), nullable=True),
        sa.Column("pin_id", sa.Text(), nullable=False),
        sa.Column("pin_hash", sa.LargeBinary(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("repin_of", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["board"], ["boards.board"], name=op.f("fk_saves_board"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["person"], ["people.person"], name=op.f("fk_saves_person"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repin_of"], ["saves.save"], name=op.f("fk_saves_repin_of"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["section"], ["sections.section"], name=op.f("fk_saves_section"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("save", name=op.f("pk_saves")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_saves_board_save"), "saves", ["board", "save"], unique=False)
    op.create_index(op.f("ix_saves_person_at"), "saves", ["person", "at"], unique=False)
    op.create_index(op.f("ix_saves_pin_hash"), "saves", ["pin_hash"], unique=False)
    op.create_index(op.f("ix_saves_pin_id"), "saves", ["pin_id"], unique=False)
    op.create_index(op.f("ix_saves_repin_of"), "saves", ["repin_of"], unique=False)
    op.create_index(op.f("ix_saves_section"), "saves", ["section"], unique=False)
    op.create_index(
        "ux_saves_board_pin_id",
        "saves",
        ["board", "pin_id"],
        unique=True,
        sqlite_where=sa.text("NOT gone"),
        postgresql_where=sa.text("NOT gone"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_index(
        "ux_saves_board_pin_id",
        table_name="saves",
        sqlite_where=sa.text("NOT gone"),
        postgresql_where=sa.text("NOT gone"),
    )
    op.drop_index(op.f("ix_saves_section"), table_name="saves")
    op.drop_index(op.f("ix_saves_repin_of"), table_name="saves")
    op.drop_index(op.f("ix_saves_pin_id"), table_name="saves")
    op.drop_index(op.f("ix_saves_pin_hash"), table_name="saves")
    op.drop_index(op.f("ix_saves_person_at"), table_name="saves")
    op.drop_index(op.f("ix_saves_board_save"), table_name="saves")
    op.drop_table("saves")
    op.drop_table("sections")
    op.drop_index(op.f("ix_reports_person"), table_name="reports")
    op.drop_table("reports")
    op.drop_index(op.f("ix_mentions_person"), table_name="mentions")
    op.drop_table("mentions")
    op.drop_index(op.f("ix_collaborators_person"), table_name="collaborators")
    op.drop_table("collaborators")
    op.drop_table("sites")
    op.drop_index(op.f("ix_sessions_last"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_index(op.f("ix_follows_kind_target"), table_name="follows")
    op.drop_table("follows")
    op.drop_table("consent")
    op.drop_table("connections")
    op.drop_index(op.f("ix_comments_pin_id"), table_name="comments")
    op.drop_index(op.f("ix_comments_person"), table_name="comments")
    op.drop_table("comments")
    op.drop_table("boards")
    op.drop_index(op.f("ix_tombstones_pin_hash"), table_name="tombstones")
    op.drop_table("tombstones")
    op.drop_table("receipts")
    op.drop_table("people")
    op.drop_index(op.f("ix_parts_lowest_highest"), table_name="parts")
    op.drop_index(op.f("ix_parts_day"), table_name="parts")
    op.drop_table("parts")
    op.drop_table("imports")
    op.drop_index(op.f("ix_events_person_at"), table_name="events")
    op.drop_index(op.f("ix_events_at"), table_name="events")
    op.drop_table("events")
