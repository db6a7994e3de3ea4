"""One transaction of the ledger: read the directory, load the rows, let `core.ledger` decide, write what changed."""

import logging
from collections.abc import Callable, Sequence
from typing import assert_never, cast

import sqlalchemy as sa

from pertoken.core.bookkeeping import AccountKind, is_of, owner_of
from pertoken.core.census import Census
from pertoken.core.commands import (
    Command,
    Duplicate,
    EndResult,
    Expire,
    Record,
    RecordResult,
    Result,
    Settle,
    Settled,
    Void,
    Voided,
)
from pertoken.core.customers import Unknown
from pertoken.core.directory import Directory
from pertoken.core.events import Event
from pertoken.core.holds import Hold
from pertoken.core.ledger import Books
from pertoken.core.periods import DAY_US
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.ports.failures import StoreFailed
from pertoken.store import catalog, directory
from pertoken.store.amounts import HIGH_MAX
from pertoken.store.census import CensusReader
from pertoken.store.database import Database
from pertoken.store.lease import APART_US
from pertoken.store.ledger import LedgerTables, read_hold
from pertoken.store.schema import accounts, holds, series

log = logging.getLogger("pertoken.store")

EXPIRED_MAX = 1_000  # let go in one transaction


class Bookkeeper:
    """Keeps the books of one process. Used by one thread at a time.

    A transaction has two steps, so that each can run where it costs least: `decide` is short and all in memory,
    `commit` waits for the disk.
    """

    def __init__(
        self,
        database: Database,
        now_us: Callable[[], int],
        sellers: Sellers,
        census: Census | None = None,
        unknown: Unknown = Unknown.ALLOW,
    ) -> None:
        self._database = database
        self._sellers = sellers
        self._writer = database.hot_writer()
        self._now_us = now_us
        self._unknown = unknown  # what is done with customers that nobody has made
        self._tables = LedgerTables(database.sql)
        self._census = None if census is None else CensusReader(census)
        self._books: Books | None = None  # decided, not yet committed
        self.others_write = False  # whether `decide` found another process writing
        self.directory = Directory(0, (), ())
        self.prices = PriceBook(())

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()

    def refresh(self) -> None:
        """Read keys, budgets and prices if they changed, and whom keys have named. Raises StoreFailed."""
        with self._database.read() as connection:
            self._read_if_changed(connection)
            if self._census is not None:
                self._census.read_new(connection, self._now_us())

    def decide(self, commands: Sequence[Command], *, wait: bool = True) -> list[Result] | None:
        """Decide and write `commands` in an open transaction, which `commit` makes durable.

        None, with nothing done, when that would take long and `wait` is not said: another process is writing, or the
        directory changed and must be read. Raises StoreFailed; then nothing was done.
        """
        self.others_write = not self._writer.begin(wait=wait)
        if self.others_write:
            return None
        cursor = self._writer.cursor
        try:
            if self._writer.changed_by_others:
                self._tables.forget_rows()
                revision, self._tables.summed_to_us = directory.hot_state(cursor)
                if revision != self.directory.revision:
                    if not wait:
                        self._writer.rollback()
                        return None
                    self.refresh()  # nobody can commit while we hold the lock: what is read is what holds
            books = self._tables.load(cursor, self.directory, commands)
            results = [books.apply(command) for command in commands]
            self._writer.cover(event.occurred_at_us for event in books.new_events)
            self._tables.save(cursor, books, self._now_us())
        except self._writer.error as error:
            self._tables.forget()
            raise self._writer.failed(error) from error
        except Exception as error:  # a broken rule of our own must not stop every other call
            self._tables.forget()
            self._writer.close()
            log.exception("a transaction failed because of a bug in pertoken")
            said = "" if isinstance(error, AssertionError) else f" {error}"  # what is asserted names whole records
            raise StoreFailed(f"a bug in pertoken: {type(error).__name__}{said}", is_one_row=True) from error
        self._books = books
        return results

    def prove(self) -> None:
        """Write a row that is there already: the database takes writes, not only readers. Raises StoreFailed."""
        with self._database.write() as connection:
            directory.touch(connection)

    @property
    def is_shared(self) -> bool:
        """Whether another connection has written between our last two transactions."""
        return self._writer.changed_by_others

    def commit(self) -> bool:
        """Make what was decided durable; tell whether anything was. Raises StoreFailed; then nothing was done."""
        books, self._books = self._books, None
        assert books is not None
        try:
            self._writer.commit()
        except BaseException:
            self._tables.forget()
            raise
        self._tables.keep(books)
        if self._census is not None:
            for attribution in self._tables.take_new_series():
                self._census.census.learn(attribution)
        if books.new_doubts:
            self.directory = self.directory.doubting(books.revision, books.new_doubts)
            for one in books.new_doubts.values():
                text = "%s counted %d input tokens of %s, pertoken %d: more is held now; see: pertoken provider trust"
                log.warning(text, one.provider, one.reported_tokens, one.model, one.counted_tokens)
        return books.changed

    def transact(self, commands: Sequence[Command]) -> list[Result]:
        """Decide and commit, waiting for other writers. Raises StoreFailed; then nothing was done."""
        results = self.decide(commands)
        assert results is not None
        self.commit()
        return results

    def record_all(self, events: Sequence[Event]) -> list[RecordResult]:
        """Post events that are not in the books yet; return what became of each. Raises StoreFailed."""
        return cast("list[RecordResult]", self.transact([Record(event) for event in events]))

    def end_all(self, endings: Sequence[Settle | Void | Expire]) -> None:
        """End holds; one that has ended already stays as it is. Raises StoreFailed; then nothing was done."""
        for result in cast("list[EndResult]", self.transact(endings)):
            match result:
                case Settled() | Voided() | Duplicate():
                    pass
                case _:
                    assert_never(result)

    def expired_holds(self, now_us: int) -> list[Hold]:
        """Return open holds whose time is over, the oldest first. Raises StoreFailed."""
        with self._database.read() as connection:
            return [read_hold(row) for row in connection.execute(_EXPIRED, {"now_us": now_us})]

    def keep_alive(self, owner: str, before_us: int, until_us: int, opened_after_us: int) -> None:
        """Put off the expiry of an owner's holds to `until_us`: those that would expire before `before_us`.

        One that was opened earlier than `opened_after_us` belongs to no call any more, and is left. Raises StoreFailed.
        """
        due = sa.and_(holds.c.owner == owner, holds.c.expires_at_us < before_us)
        due = sa.and_(due, holds.c.opened_at_us > opened_after_us)
        with self._database.read() as connection:
            if connection.execute(sa.select(holds.c.hold_id).where(due).limit(1)).first() is None:
                return
        with self._database.write() as connection:
            connection.execute(sa.update(holds).where(due).values(expires_at_us=until_us))

    def pull_in(self, now_us: int, until_us: int) -> None:
        """Have holds expire at `until_us` that were opened while the clock was ahead, for their time never comes.

        One of a living owner is kept alive as any other from then on. Raises StoreFailed.
        """
        ahead = sa.and_(holds.c.expires_at_us > now_us + APART_US, holds.c.opened_at_us > now_us + APART_US)
        ahead = sa.and_(ahead, holds.c.expires_at_us >= holds.c.opened_at_us)
        with self._database.read() as connection:
            if connection.execute(sa.select(holds.c.hold_id).where(ahead).limit(1)).first() is None:
                return
        with self._database.write() as connection:
            connection.execute(sa.update(holds).where(ahead).values(expires_at_us=until_us))

    def put_off(self, hold_ids: Sequence[str], until_us: int) -> None:
        """Put off the expiry of some holds by a day or more, if they are open. Raises StoreFailed."""
        with self._database.read() as connection:
            due = [
                hold_id
                for (hold_id, expires_at_us) in connection.execute(_EXPIRIES, {"hold_ids": list(hold_ids)})
                if expires_at_us < until_us - DAY_US
            ]
        if due:
            with self._database.write() as connection:
                some = holds.c.hold_id.in_(due)
                connection.execute(sa.update(holds).where(some).values(expires_at_us=until_us))

    def full_accounts(self) -> list[tuple[str, str]]:
        """Return (provider, currency) of the accounts that are nearly full. Raises StoreFailed."""
        with self._database.read() as connection:
            return full_accounts(connection)

    def _read_if_changed(self, connection: sa.Connection) -> None:
        if directory.read_revision(connection) != self.directory.revision:
            self.prices = catalog.read_book(connection, self._sellers)
            self.directory = directory.read(connection, self._unknown)


def full_accounts(connection: sa.Connection) -> list[tuple[str, str]]:
    """Return (provider, currency) of the accounts of costs that are a tenth full."""
    found = [(account, currency) for account, currency in connection.execute(_FULL)]
    return [(owner_of(account), currency) for account, currency in found if is_of(AccountKind.PROVIDER_COST, account)]


_EXPIRIES = sa.select(holds.c.hold_id, holds.c.expires_at_us).where(
    holds.c.hold_id.in_(sa.bindparam("hold_ids", expanding=True))
)
_FULL = sa.select(accounts.c.account, accounts.c.currency).where(accounts.c.balance_picos_high > HIGH_MAX // 10)
_EXPIRED = (
    sa.select(holds, series)
    .join(series, series.c.series_id == holds.c.series_id)
    .where(holds.c.expires_at_us <= sa.bindparam("now_us"))
    .order_by(holds.c.expires_at_us)
    .limit(EXPIRED_MAX)
)
