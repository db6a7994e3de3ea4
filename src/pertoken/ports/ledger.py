"""The ledger: commands in, results out, durably."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, overload

from pertoken.core.commands import (
    Command,
    Expire,
    Look,
    Looked,
    OpenHold,
    OpenResult,
    Record,
    RecordResult,
    ReleaseResult,
    Resize,
    ResizeResult,
    Settle,
    SettleResult,
    Void,
)
from pertoken.core.directory import Directory
from pertoken.core.events import Event
from pertoken.core.price_book import PriceBook
from pertoken.core.tally import StoreState


class StoreUnavailable(Exception):
    """The store cannot be relied on now; nothing of the command was done."""


class Ledger(Protocol):
    """Durable commands, and the directory and prices they are decided on."""

    @property
    def directory(self) -> Directory:
        """Keys, budgets and trust in counts at their newest known revision."""

    @property
    def prices(self) -> PriceBook:
        """The price book at the same revision."""

    @property
    def failure(self) -> str | None:
        """Why the store does not work now, None when it does."""

    @property
    def cannot_settle(self) -> str | None:
        """Why calls to some provider could not be settled and are refused, None while all can be."""

    @property
    def on_credit(self) -> bool:
        """Whether calls are served although the store does not work."""

    def state(self) -> StoreState:
        """Return what waits, what is owed, and what was committed so far."""

    @overload
    def submit(self, command: OpenHold) -> "asyncio.Future[OpenResult]": ...
    @overload
    def submit(self, command: Resize) -> "asyncio.Future[ResizeResult]": ...
    @overload
    def submit(self, command: Settle) -> "asyncio.Future[SettleResult]": ...
    @overload
    def submit(self, command: Void | Expire) -> "asyncio.Future[ReleaseResult]": ...
    @overload
    def submit(self, command: Record) -> "asyncio.Future[RecordResult]": ...
    @overload
    def submit(self, command: Look) -> "asyncio.Future[Looked]": ...
    def submit(self, command: Command) -> "asyncio.Future[Any]":
        """Return a future of the command's own result, resolved when it is on disk. Fails with StoreUnavailable."""

    def record_all(self, events: Sequence[Event]) -> "asyncio.Future[list[RecordResult]]":
        """Return a future of what became of each event, resolved when all are on disk.

        Fails with StoreUnavailable where one of them could not be done; the others may have been.
        """
