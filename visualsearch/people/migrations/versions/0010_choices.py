"""When somebody last chose what they allow is asked for with every page of a feed."""

from alembic import op

revision = "0010"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this state."""
    op.create_index(op.f("ix_consent_at"), "consent", ["at"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("ix_consent_at"), table_name="consent")
