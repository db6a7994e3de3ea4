"""Alembic's entry: run the migrations on the connection that `Database.migrate` brings."""

from alembic import context

from pertoken.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
