"""Opening the database of an installation, ready for use."""

from collections.abc import Iterator
from contextlib import contextmanager

from pertoken.ports.failures import NoDatabase
from pertoken.settings import Settings
from pertoken.wiring.installation import Installation, connect
from pertoken.wiring.prices import fill_price_book
from pertoken.wiring.schema import is_empty


@contextmanager
def open_database(settings: Settings, *, make: bool = True) -> Iterator[Installation]:
    """Yield an installation whose database has the newest schema and a price book. Raises StoreFailed.

    Raises NoDatabase if there is none yet, unless `make` is set.
    """
    with connect(settings) as installation:
        if not make and (not installation.exists() or is_empty(installation)):
            raise NoDatabase(f"there is no database at {installation.place}")
        installation.database.migrate()
        fill_price_book(installation)
        yield installation
