"""The books of an installation, for one command."""

from pertoken.store import bookkeeper
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.installation import Installation
from pertoken.wiring.sellers import sellers


def make_bookkeeper(installation: Installation) -> Bookkeeper:
    """Return a bookkeeper for one command, with its directory loaded. Raises StoreFailed."""
    books = Bookkeeper(installation.database, SystemClock().now_us, sellers(installation.settings))
    books.refresh()
    return books


def full_accounts(installation: Installation) -> list[tuple[str, str]]:
    """Return (provider, currency) of the accounts that are nearly full. Raises StoreFailed."""
    with installation.database.read() as connection:
        return bookkeeper.full_accounts(connection)
