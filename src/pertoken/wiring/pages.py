"""Everything that the pages use, and the links that sign in to them."""

import contextlib
import functools
from collections.abc import Iterator
from importlib.metadata import version

from pertoken.ports.failures import StoreFailed
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.admins import ROOT
from pertoken.services.rerate import Correcting
from pertoken.services.sessions import make_link
from pertoken.settings import Settings
from pertoken.store.transactions import Transactions
from pertoken.web.health import Health
from pertoken.web.site import Site
from pertoken.wiring.bookkeeper import make_bookkeeper
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.hasher import make_hasher
from pertoken.wiring.health import ask_doctor, read_facts
from pertoken.wiring.installation import Installation, connect
from pertoken.wiring.month_folder import month_folder
from pertoken.wiring.prices import KnownPrices
from pertoken.wiring.pricing import KnownPlans, make_pricing

BATCH = 50  # events in one transaction


@contextlib.contextmanager
def open_site(settings: Settings) -> Iterator[Site]:
    """Yield everything that the pages of one process use. Raises StoreFailed."""
    with connect(settings) as installation:
        yield make_site(installation)


def make_site(installation: Installation) -> Site:
    """Return everything that the pages of an installation use. Raises StoreFailed."""
    settings = installation.settings
    return Site(
        store=Transactions(installation.database),
        clock=SystemClock(),
        hasher=make_hasher(installation),
        prices=KnownPrices(installation),
        correct=functools.partial(_correct, installation),
        folders=lambda archived: month_folder(archived.folder),
        root_key=settings.admin_key,
        zone=settings.timezone,
        version=version("pertoken"),
        health=Health(lambda: read_facts(installation), lambda: ask_doctor(settings)),
        pricing=make_pricing(KnownPlans(installation)),
        trusted_proxies=settings.pages.networks,
    )


def _correct(installation: Installation, correcting: Correcting) -> None:
    """Record corrections in transactions of a few, so that calls come between them. Raises StoreUnavailable."""
    try:
        books = make_bookkeeper(installation)
        try:
            for _ in correcting.record(books, BATCH):
                pass  # calls come between
        finally:
            books.close()
    except StoreFailed as failure:
        raise StoreUnavailable(str(failure)) from failure


def make_sign_in_link(installation: Installation) -> str:
    """Store a link that signs the operator in once, and return its path. Raises StoreFailed."""
    hasher = make_hasher(installation)
    with Transactions(installation.database).write() as opened:
        return f"/login/link/{make_link(opened.sessions, SystemClock(), hasher, ROOT)}"
