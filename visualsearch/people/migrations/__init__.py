"""The tables' history, run by Alembic from here: no file of ours lies on the user's disk for it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection


def upgrade(db: Connection) -> bool:
    """Run what is missing on a connection within its transaction. False: the tables are of a newer release."""
    from alembic.command import upgrade as run
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = db
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if not set(MigrationContext.configure(db).get_current_heads()) <= known:
        return False
    run(config, "head")
    return True
