"""The order of a board's pins, and its cover."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go to this state: a pin that nobody moved stands where its save puts it."""
    op.add_column("saves", sa.Column("position", sa.Float(), nullable=True))
    op.add_column("boards", sa.Column("cover", sa.Text(), nullable=True))


def downgrade() -> None:
    """Go back."""
    with op.batch_alter_table("boards") as boards:
        boards.drop_column("cover")
    with op.batch_alter_table("saves") as saves:
        saves.drop_column("position")
