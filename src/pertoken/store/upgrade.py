"""Bringing the tables of a database to the newest version, by the migrations."""

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from pertoken.ports.failures import OtherVersion
from pertoken.store.versions import MIGRATIONS


def upgrade(connection: sa.Connection) -> None:
    """Take the migrations that are missing. Raises OtherVersion where another version of pertoken made the tables."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise OtherVersion(str(error)) from error
