"""Alembic runs this file: the migrations go through the connection that `upgrade` was given."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
