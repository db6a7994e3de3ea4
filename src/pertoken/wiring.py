"""The only file that names concrete stores and clients: it joins them into the world that services see."""

import asyncio
import importlib
import importlib.resources
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from pertoken.api.app import Plane
from pertoken.catalogs import covers, genai, history, providers, request_fields, rules
from pertoken.catalogs.limits import ModelLimits
from pertoken.catalogs.providers import StreamUsage
from pertoken.core.calls import CallLine
from pertoken.core.census import Bounds
from pertoken.core.ids import KEY_PREFIX
from pertoken.core.money import parse_amount
from pertoken.core.periods import DAY_US, FOREVER_US
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.prices import EVERYTHING, Match, PriceRow, Source, price_id
from pertoken.core.secrets import Hasher
from pertoken.core.units import DIMENSIONS, UNITS
from pertoken.counting.tokenizers import Tokenizers
from pertoken.services.call.works import Here
from pertoken.services.catalog import Merge, merge, withdraw
from pertoken.services.offers import ModelRoute, Offers
from pertoken.services.world import Drains, World
from pertoken.settings import (
    ENCRYPTED,
    FROM_ENVIRONMENT,
    BadSettings,
    Settings,
    default_database,
    key_variables,
    missing_key,
)
from pertoken.store import catalog
from pertoken.store.backend import NoDatabase, StoreFailed
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.committer import Committer, HoldOwner
from pertoken.store.credit import CreditLine
from pertoken.store.database import Database
from pertoken.store.months import DatabaseMonths
from pertoken.store.owed import Owed
from pertoken.store.retention import Kept
from pertoken.store.secret_key import open_hasher, read_file
from pertoken.store.transactions import Transactions
from pertoken.upstream.http import Client
from pertoken.upstream.limits import ClientLimits
from pertoken.upstream.proxy import Proxies
from pertoken.upstream.registry import HttpProvider, http_provider

if TYPE_CHECKING:
    from pertoken.store.month_files import MonthFolder

RANDOM_BYTES = 1_024  # asked for at once
# What the settings state of a server of one's own is for pictures and video as well; they have no field for those.
CONFIGURED_COVER = (EVERYTHING, *(unit for unit in UNITS if not DIMENSIONS[unit].isdisjoint({"image", "video"})))
PROVIDER_KEYS = "provider keys"  # what they are encrypted for


class SystemClock:
    """The machine's clock and chance."""

    def now_us(self) -> int:
        """Return microseconds since the epoch."""
        return time.time_ns() // 1_000

    def __init__(self) -> None:
        self._random = b""

    def random_bits(self, bits: int) -> int:
        """Return a number below 2**bits that nobody can guess. The system is asked for many at a time: 15 us each."""
        size = -(-bits // 8)
        if len(self._random) < size:
            self._random = os.urandom(RANDOM_BYTES)
        taken, self._random = self._random[:size], self._random[size:]
        return int.from_bytes(taken) >> (8 * size - bits)


def secret_key_file(settings: Settings) -> Path:
    """Return where the secret key lives when the settings have none: beside a database that is a file."""
    return _beside(settings, ".key", "secret.key")


def archive_folder(settings: Settings) -> Path:
    """Return where months are archived when nothing says otherwise: beside a database that is a file."""
    return _beside(settings, ".archive", "archive")


def credit_folder(settings: Settings) -> Path:
    """Return where what is served on credit is recorded: beside a database that is a file."""
    return _beside(settings, ".credit", "credit")


def owed_folder(settings: Settings) -> Path:
    """Return where settlements are kept that the books do not have yet: beside a database that is a file."""
    return _beside(settings, ".owed", "owed")


def _beside(settings: Settings, suffix: str, name: str) -> Path:
    kind, _, place = settings.database_url.partition(":///")
    return Path(f"{place}{suffix}") if kind == "sqlite" else default_database().with_name(name)


@contextmanager
def open_database(settings: Settings, *, make: bool = True) -> Iterator[Database]:
    """Yield the database, at the newest schema and with a price book in it. Raises StoreFailed.

    Without `make`, NoDatabase where there is none yet.
    """
    database = Database(settings.database_url, synced=settings.durability == "full")
    try:
        if not make and (not database.exists() or is_empty(database)):
            raise NoDatabase(f"there is no database at {database.place}")
        database.migrate()
        fill_price_book(database, settings)
        yield database
    finally:
        database.close()


def fill_price_book(database: Database, settings: Settings) -> None:
    """Import the shipped prices once, and the prices that the configuration states whenever they change."""
    now_us = SystemClock().now_us()
    configured = list(_configured_prices(settings, now_us))
    with database.read() as connection:
        empty = catalog.is_empty(connection)
        known = _known(connection, configured)
    if empty:
        with database.write() as connection:
            if catalog.is_empty(connection):
                catalog.add_rows(connection, shipped_prices(now_us))
    if merge(known, configured, now_us).added:
        import_prices(database, configured, now_us)


def make_hasher(database: Database, settings: Settings) -> Hasher:
    """Return what hashes the secrets of this installation. Raises StoreFailed where its key is not the right one."""
    return open_hasher(database, settings.secret_key, secret_key_file(settings))


def encrypt_provider_key(settings: Settings, key: str) -> str:
    """Return what may stand for a provider's key in the settings; the secret key is made where there is none yet.

    Raises StoreFailed where the secret key cannot be read or made.
    """
    from pertoken.store.encryption import encrypt  # noqa: PLC0415 - 45 ms, for those who use it

    return ENCRYPTED + encrypt(_secret_key(settings), PROVIDER_KEYS, key)


def provider_key(settings: Settings, name: str) -> str | None:
    """Return the key of a provider as it is sent, None where it has none. Raises BadSettings naming the setting."""
    key = settings.providers[name].api_key
    if key is not None and key.startswith(FROM_ENVIRONMENT):
        variable = key.removeprefix(FROM_ENVIRONMENT)
        message = f"providers.{name}.api_key names the variable {variable}, which is not set"
        raise BadSettings(f"{message}; set it: export {variable}=..., or correct the name")
    if key is not None and key.startswith(KEY_PREFIX):
        variables = " or ".join(key_variables(name))
        raise BadSettings(
            f"the key of {name} is one of pertoken, which applications show to the gateway; "
            f"set providers.{name}.api_key to the one that {name} gave you, and {variables} for applications only"
        )
    if key is None or not key.startswith(ENCRYPTED):
        return key
    from pertoken.store.encryption import CannotDecrypt, decrypt  # noqa: PLC0415 - 45 ms, for those who use it

    setting, anew = f"providers.{name}.api_key", "or encrypt the provider's key anew: pertoken provider encrypt"
    try:
        if settings.secret_key is None and not secret_key_file(settings).exists():
            raise StoreFailed(f"bring back {secret_key_file(settings)} (docs/how-to/keys.md)")
        return decrypt(_secret_key(settings), PROVIDER_KEYS, key.removeprefix(ENCRYPTED))
    except StoreFailed as error:
        raise BadSettings(f"{setting} is encrypted, and the secret key cannot be read: {error}; {anew}") from error
    except CannotDecrypt as error:
        where = "PERTOKEN_SECRET_KEY" if settings.secret_key is not None else f"the file {secret_key_file(settings)}"
        raise BadSettings(
            f"{setting} was changed, or encrypted under another secret key than that of {where}: "
            f"bring back the one that is right (docs/how-to/keys.md), {anew}"
        ) from error


def _secret_key(settings: Settings) -> bytes:
    return read_file(secret_key_file(settings)) if settings.secret_key is None else settings.secret_key.encode()


def make_world(
    settings: Settings,
    committer: Committer,
    client: Client,
    hasher: Hasher,
    tell: Callable[[CallLine], None] | None = None,
) -> World:
    """Return the world of one serving process."""
    limits = settings.limits
    providers = _providers(settings, client)
    routes = {
        name: ModelRoute(model.provider, model.model, model.priced_as, model.cheaper, model.fallbacks)
        for name, model in settings.models.items()
    }
    rules = request_fields.read()
    return World(
        ledger=committer,
        clock=SystemClock(),
        hasher=hasher,
        readers=Here(Tokenizers()),
        providers=providers,
        offers=Offers(committer, providers, routes, ModelLimits(), rules.served),
        rules=rules,
        owner=committer.owner.name,
        drains=Drains(limits.drain_calls_max),
        hold_ttl_us=limits.hold_s * 1_000_000,
        census=committer.census,
        refused=committer.refused,
        retries=limits.retries,
        queue_us=limits.queue_ms * 1_000,
        tell=tell,
    )


def make_client(settings: Settings) -> Client:
    """Return the HTTP client to all providers; proxies come from the usual environment variables."""
    limits = settings.limits
    return Client(
        ClientLimits(
            connect_ms=limits.connect_ms,
            first_byte_ms=limits.first_byte_ms,
            idle_ms=limits.idle_ms,
            total_ms=limits.total_ms,
            body_bytes=limits.answer_bytes_max,
            connections_per_origin=limits.connections_max,
        ),
        proxies=Proxies.from_environ(os.environ),
    )


def make_plane(settings: Settings, database: Database, committer: Committer, hasher: Hasher) -> Plane:
    """Return what the control plane of one serving process works with."""
    reported_max = settings.limits.reported_event
    return Plane(Transactions(database), committer, SystemClock(), hasher, settings.admin_key, reported_max)


def start_committer(database: Database, settings: Settings) -> Committer:
    """Return a running committer that answers on the running event loop."""
    limits, clock = settings.limits, SystemClock()
    name = f"{socket.gethostname()}:{os.getpid()}:{clock.random_bits(32):08x}"  # in a container the rest may come again
    owner = HoldOwner(name, limits.hold_s * 1_000_000, limits.total_ms * 1_000 + limits.queue_ms * 1_000)
    kept = Kept(settings.retention.ended_holds_days * DAY_US, settings.retention.counters_days * DAY_US)
    credit, owed = _credit_line(settings, name), Owed(owed_folder(settings), name)
    committer = Committer(
        database, clock.now_us, sellers(settings), owner, credit, owed=owed, kept=kept, bounds=make_bounds(settings)
    )
    committer.start(asyncio.get_running_loop())
    return committer


def make_bounds(settings: Settings) -> Bounds:
    """Return how many customers, users, conversations and tags calls of one key may name."""
    limits = settings.limits
    return Bounds(
        limits.key_customers_max,
        limits.key_users_max,
        limits.key_conversations_max,
        limits.key_tag_values_max,
        limits.key_series_max,
    )


def _credit_line(settings: Settings, owner: str) -> CreditLine | None:
    credit = settings.limits.credit
    return None if credit is None else CreditLine(credit_folder(settings), owner, parse_amount(credit, "USD"))


def _providers(settings: Settings, client: Client) -> dict[str, HttpProvider]:
    return {
        name: http_provider(
            name,
            wire=provider.wire,
            base_url=provider.base_url,
            auth=provider.auth,
            api_key=provider_key(settings, name),
            query=provider.query,
            asks_for_usage=provider.stream_usage is StreamUsage.OPTION,
            cuts_on_hangup=provider.on_hangup == "cut",
            output_cap=provider.output_cap,
            prices_from=provider.prices_from,
            missing_key=missing_key(settings, name),
            client=client,
        )
        for name, provider in settings.providers.items()
    }


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


def sellers(settings: Settings) -> Sellers:
    """Return what is known of providers as sellers: the registry's names, and whose list prices each one takes."""
    lists = {name: row.prices_from for name, row in providers.registry().items() if row.prices_from}
    lists.update({name: one.prices_from for name, one in settings.providers.items() if one.prices_from})
    charge_as_stated = frozenset(name for name, row in providers.registry().items() if row.charges_as_stated)
    variants, elsewhere = providers.variants(), providers.elsewhere()
    return Sellers(providers.names(), lists, charge_as_stated, covers.read(), variants, elsewhere)


def make_bookkeeper(database: Database, settings: Settings) -> Bookkeeper:
    """Return a bookkeeper for one command, its directory read. Raises StoreFailed."""
    books = Bookkeeper(database, SystemClock().now_us, sellers(settings))
    books.refresh()
    return books


def read_price_book(database: Database, settings: Settings, believed_at_us: int | None = None) -> PriceBook:
    """Return the price book of a database, or as it was believed at an instant."""
    with database.read() as connection:
        return catalog.read_book(connection, sellers(settings), believed_at_us)


def shipped_price_book(settings: Settings, now_us: int) -> PriceBook:
    """Return the price book that a new database would begin with."""
    return PriceBook([*shipped_prices(now_us), *_configured_prices(settings, now_us)], sellers(settings))


def shipped_prices(now_us: int) -> list[PriceRow]:
    """Return the prices that pertoken brings along: the installed list, dated history, reviewed rules."""
    return [*genai.read(now_us), *history.read(now_us), *rules.read(now_us)]


def import_prices(database: Database, offered: Sequence[PriceRow], now_us: int) -> Merge:
    """Merge a source's rows into the book in one transaction; return what changed."""
    with database.write() as connection:
        change = merge(_known(connection, offered), offered, now_us)
        _apply(connection, change, now_us)
    return change


def preview_import(
    database: Database, settings: Settings, offered: Sequence[PriceRow], now_us: int
) -> tuple[Merge, PriceBook, PriceBook]:
    """Return what an import would do, and the book before and after it; nothing is changed."""
    with database.read() as connection:
        rows = catalog.read_rows(connection)
        change = merge(_known(connection, offered), offered, now_us)
    gone = {row.price_id for row in change.superseded}
    after = [*(row for row in rows if row.price_id not in gone), *change.added]
    return change, PriceBook(rows, sellers(settings)), PriceBook(after, sellers(settings))


def withdraw_prices(database: Database, price_ids: Collection[str], now_us: int) -> Merge:
    """Take back announced prices in one transaction. Raises CannotWithdraw."""
    with database.write() as connection:
        change = withdraw(catalog.read_rows(connection, superseded=True), price_ids, now_us)
        _apply(connection, change, now_us)
    return change


def _known(connection: sa.Connection, offered: Sequence[PriceRow]) -> list[PriceRow]:
    return catalog.read_rows(connection, source=offered[0].source, superseded=True) if offered else []


def _apply(connection: sa.Connection, change: Merge, now_us: int) -> None:
    catalog.supersede(connection, [row.price_id for row in change.superseded], now_us)
    catalog.add_rows(connection, change.added)


def add_prices(database: Database, rows: Sequence[PriceRow]) -> int:
    """Add the rows that are not in the book yet, in one transaction; return how many those were."""
    with database.write() as connection:
        return catalog.add_rows(connection, rows)


def month_folder(path: str) -> "MonthFolder":
    """Return a folder of archived months. Raises StoreFailed where what reads and writes its files is not installed."""
    try:
        month_files = importlib.import_module("pertoken.store.month_files")
    except ImportError as error:
        raise StoreFailed("archives need pyarrow: pip install pyarrow") from error
    folder: MonthFolder = month_files.MonthFolder(Path(path).absolute(), migration_scripts().get_current_head() or "")
    return folder


def make_months(database: Database, settings: Settings) -> DatabaseMonths:
    """Return the months of events of a database."""
    return DatabaseMonths(database, lambda: make_bookkeeper(database, settings))


def is_at_head(database: Database) -> bool:
    """Tell, changing nothing, whether the tables are those of this version. Raises StoreFailed."""
    with database.read() as connection:
        head = migration_scripts().get_current_head()
        return MigrationContext.configure(connection).get_current_revision() == head


def is_empty(database: Database) -> bool:
    """Tell whether a database has no tables of ours at all. Raises StoreFailed."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() is None


def migration_scripts() -> ScriptDirectory:
    """Return what brings databases to the newest version."""
    return ScriptDirectory(str(importlib.resources.files("pertoken.store") / "migrations"))
