"""The price book of an installation: reading it, filling it, and importing prices."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from pertoken.catalogs import genai, history, rules
from pertoken.core.money import parse_amount
from pertoken.core.periods import FOREVER_US
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import EVERYTHING, Match, PriceRow, Source, price_id
from pertoken.core.units import DIMENSIONS, UNITS
from pertoken.services.catalog import Merge, bring_in, merge
from pertoken.settings import Settings
from pertoken.store import catalog
from pertoken.store.directory import read_revision
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.installation import Installation
from pertoken.wiring.sellers import sellers

# Prices in the settings also apply to pictures and video, because the settings have no field for those.
CONFIGURED_COVER = (EVERYTHING, *(unit for unit in UNITS if not DIMENSIONS[unit].isdisjoint({"image", "video"})))


def read_price_book(installation: Installation, believed_at_us: int | None = None) -> PriceBook:
    """Return the price book of an installation, as it is now or as it was known at an instant."""
    with installation.database.read() as connection:
        return catalog.read_book(connection, sellers(installation.settings), believed_at_us)


class KnownPrices:
    """The price book of an installation, read again only after a change, because reading takes most of a second."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._known: tuple[int, PriceBook] | None = None

    def __call__(self) -> PriceBook:
        """Return the book in force."""
        with self._installation.database.read() as connection:
            revision, known = read_revision(connection), self._known
        if known is None or known[0] != revision:
            known = self._known = revision, read_price_book(self._installation)
        return known[1]


def shipped_price_book(settings: Settings, now_us: int) -> PriceBook:
    """Return the price book that a new database would begin with."""
    return PriceBook([*shipped_prices(now_us), *_configured_prices(settings, now_us)], sellers(settings))


def shipped_prices(now_us: int) -> list[PriceRow]:
    """Return the shipped prices: the installed list, dated history, reviewed rules."""
    return [*genai.read(now_us), *history.read(now_us), *rules.read(now_us)]


def fill_price_book(installation: Installation) -> None:
    """Import the shipped prices once, and the prices in the settings whenever they change."""
    now_us, database = SystemClock().now_us(), installation.database
    configured = list(_configured_prices(installation.settings, now_us))
    with database.read() as connection:
        empty = catalog.is_empty(connection)
        known = _known(connection, configured)
    if empty:
        with database.write() as connection:
            if catalog.is_empty(connection):
                catalog.add_rows(connection, shipped_prices(now_us))
    if merge(known, configured, now_us).added:
        import_prices(installation, configured, now_us)


def import_prices(installation: Installation, offered: Sequence[PriceRow], now_us: int) -> Merge:
    """Merge a source's rows into the book in one transaction; return the changes."""
    with installation.changes() as opened:
        return bring_in(opened.administration, offered, now_us)


def preview_import(
    installation: Installation, offered: Sequence[PriceRow], now_us: int
) -> tuple[Merge, PriceBook, PriceBook]:
    """Return the changes that an import would make, and the book before and after it, without importing."""
    with installation.database.read() as connection:
        rows = catalog.read_rows(connection)
        change = merge(_known(connection, offered), offered, now_us)
    gone = {row.price_id for row in change.superseded}
    after = [*(row for row in rows if row.price_id not in gone), *change.added]
    known = sellers(installation.settings)
    return change, PriceBook(rows, known), PriceBook(after, known)


def _known(connection: sa.Connection, offered: Sequence[PriceRow]) -> list[PriceRow]:
    return catalog.read_rows(connection, source=offered[0].source, superseded=True) if offered else []


def _configured_prices(settings: Settings, now_us: int) -> Iterator[PriceRow]:
    for provider, setting in settings.providers.items():
        for model, price in setting.prices.items():
            stated = {
                "input_tokens": price.input,
                "output_tokens": price.output,
                "cache_read_tokens": price.cache_read,
                "cache_write_tokens": price.cache_write,
            }
            for unit, amount in stated.items():
                if amount is not None:
                    picos = parse_amount(amount, price.currency)
                    row = PriceRow(
                        "", provider, model, Match.SNAPSHOT, unit, picos, 10**6, price.currency, 0, FOREVER_US, now_us,
                        Source.OPERATOR, "configuration", covers=CONFIGURED_COVER,
                    )  # fmt: skip
                    yield row._replace(price_id=price_id(row))
