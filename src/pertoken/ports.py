"""What services need from the world, as protocols; wiring brings the concrete ones."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, overload

from pertoken.core.access import AdminKey, Allowance, Reported
from pertoken.core.bounds import Counted, Family, Limits
from pertoken.core.budgets import Attribution, Budget, CounterKey
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
    Result,
    Settle,
    SettleResult,
    Void,
)
from pertoken.core.directory import Directory, Key
from pertoken.core.events import Event
from pertoken.core.holds import EndedHold, Hold
from pertoken.core.periods import format_time
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import PriceRow
from pertoken.core.refusals import RefusedCall, RefusedKind, RefusedSearch
from pertoken.core.reporting import Grain, Rollup, Slice, Sum
from pertoken.core.trust import Doubt
from pertoken.wire.format import Content

HeaderList = tuple[tuple[bytes, bytes], ...]  # of a request: can be remembered
AnswerHeaders = Sequence[tuple[bytes, bytes]]

FILES_SHOWN = 3  # in one message


class StoreUnavailable(Exception):
    """The store cannot be relied on now; nothing of the command was done."""


class ProviderFailed(Exception):
    """The provider could not be reached, took too long, or broke off.

    `may_bill`: it had the whole request and was given up while it worked, so it may charge for what nobody got.
    """

    def __init__(self, message: str, *, timed_out: bool = False, may_bill: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.may_bill = may_bill


class NotRead(Exception):
    """A body could not be read apart; asking again may help."""


class Readers(Protocol):
    """Reads and counts apart from the event loop, fairly between keys."""

    async def read(self, key_id: str, work: str, body: bytes, args: tuple[object, ...]) -> Any:
        """Return what a work of `services.call.works` finds in a body. Raises BadRequest and NotRead."""


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

    def submit_all(self, commands: Sequence[Command]) -> "asyncio.Future[list[Result]]":
        """Return a future of the results, resolved when all commands are on disk.

        Fails with StoreUnavailable where one of them could not be done; the others may have been.
        """


class Clock(Protocol):
    """Time and chance, so that tests and simulations can bring their own."""

    def now_us(self) -> int:
        """Return microseconds since the epoch."""

    def random_bits(self, bits: int) -> int:
        """Return a number below 2**bits that nobody can guess."""


class Tokenizers(Protocol):
    """Counts tokens for a family of models."""

    def count_text(self, family: Family, text: str) -> Counted:
        """Return the tokens of plain text."""

    def count_content(self, family: Family, content: Content) -> int:
        """Return the raw count of all texts of a request, for `bounds.counted_bound`."""


class ModelLimits(Protocol):
    """What is known of each model's size."""

    def find(self, provider: str, model: str) -> Limits:
        """Return the limits of a model, unknown ones as None."""


class Answer(Protocol):
    """One answer of a provider: its head is read, its body still comes."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> AnswerHeaders:
        """The header fields, names in lower case."""

    async def read(self) -> bytes:
        """Return the whole body. Raises ProviderFailed."""

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Give the body to `sink` as it arrives, and return at its end.

        Where `sink` returns True, nothing more is read until `room()` has returned. Raises ProviderFailed, and what
        sink and room raise; then the rest of the body is given up.
        """

    def abandon(self) -> None:
        """Close the connection now; whoever reads the body gets ProviderFailed."""


class Provider(Protocol):
    """One provider as configured."""

    @property
    def name(self) -> str:
        """Its name in configuration and price book."""

    @property
    def wire(self) -> str:
        """The family of formats it speaks: openai, anthropic, gemini."""

    @property
    def asks_for_usage(self) -> bool:
        """Whether its streams carry usage when OpenAI's include_usage option asks for it, and only then."""

    @property
    def missing_key(self) -> str | None:
        """The setting that would give it the key that it asks for, None: it has one, or needs none."""

    @property
    def prices_from(self) -> Sequence[str]:
        """The providers at whose list prices it sells what has no price of its own, the first preferred."""

    @property
    def cuts_on_hangup(self) -> bool:
        """Whether its stream is given up at once when the client hangs up, instead of being read to its end."""

    @property
    def output_cap(self) -> str:
        """The field of a chat completion that it honours as cap on output: max_completion_tokens or max_tokens."""

    async def send(self, path: str, headers: HeaderList, body: bytes, model: str) -> Answer:
        """Send a POST with the provider's own key; `model` is its name for the model. Raises ProviderFailed."""


class Exchange(Protocol):
    """One call as the gateway received it, and the way back to its client."""

    @property
    def query(self) -> bytes:
        """The query string of the request target."""

    @property
    def headers(self) -> HeaderList:
        """The header fields, names in lower case."""

    @property
    def body(self) -> bytes:
        """The whole body."""

    @property
    def heavy(self) -> Any:
        """The body as a `services.call.heavy.Heavy` where it is read apart, None where it is read at once."""

    @property
    def gone(self) -> bool:
        """Whether the client hung up."""

    def when_gone(self, do: Callable[[], None]) -> None:
        """Call `do` as soon as the client hangs up; at once where it has."""

    def start(self, status: int, headers: AnswerHeaders) -> None:
        """Send the head of a streamed answer."""

    def write(self, chunk: bytes) -> bool:
        """Send a piece of a streamed answer. True: the client has not yet taken enough; `drain` before the next."""

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written."""

    def finish(self, chunk: bytes = b"") -> None:
        """Send the last piece and end the streamed answer."""

    def answer(self, status: int, headers: AnswerHeaders, body: bytes) -> None:
        """Send a whole answer."""


class Search(NamedTuple):
    """Which events are looked for: the newest `limit` of those that fit and stand before `before`."""

    where: Mapping[str, str]  # of an attribution, or source
    since_us: int
    until_us: int
    before: tuple[int, int] | None  # a place
    limit: int
    status: str | None = None  # one of core.calls.STATUSES


class Posted(NamedTuple):
    """An event with its place in the order of time: when it occurred, and a number that tells apart."""

    place: tuple[int, int]
    event: Event


class StoredEvent(NamedTuple):
    """An event with the entry that was posted for it, None where it cost nothing."""

    event: Event
    entry_id: int | None


class MonthFile(NamedTuple):
    """A file of events of one month, in the order they occurred, as it is listed beside it."""

    name: str
    month_us: int  # the start of the month in UTC
    events: int
    conversations: int  # of the events: those that belong to one
    cost_picos: Mapping[str, int]  # by currency
    sha256: str
    size: int  # bytes
    made_at_us: int


class Archived(NamedTuple):
    """A file as the database knows it: the first `removed` of its events are not in the database any more."""

    archive_id: int
    name: str
    month_us: int
    folder: str  # where it was written
    sha256: str
    events: int
    conversations: int
    removed: int


def where_archived(archived: Sequence[Archived]) -> str:
    """Return for people where events went, and how they come back."""
    files = ", ".join(f"{one.name} in {one.folder}" for one in archived[:FILES_SHOWN])
    more = f" and {len(archived) - FILES_SHOWN} more" if len(archived) > FILES_SHOWN else ""
    month = format_time(archived[0].month_us)[:7]
    return f"{files}{more}; back with: pertoken archive import {archived[0].folder} --month {month}"


class EventsArchived(Exception):
    """What is asked for needs events that are in files by now."""

    def __init__(self, archived: Sequence[Archived]) -> None:
        super().__init__(f"this needs events that are archived: {where_archived(archived)}")
        self.archived = archived


class MonthFiles(Protocol):
    """A folder of files with the events of months, and their list. Raises FolderFailed."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def files(self) -> list[MonthFile]:
        """Return the files that are listed, by their names."""

    def write(
        self, month_us: int, events: Iterable[StoredEvent], prices: Mapping[str, PriceRow], at_us: int
    ) -> MonthFile:
        """Write the events of a month beside the listed files, durable, and prove it by reading it back."""

    def publish(self, file: MonthFile, instead_of: Collection[str]) -> None:
        """List a file that was written, in the place of those with the hashes `instead_of`, which go."""

    def faults(self, file: MonthFile) -> list[str]:
        """Return what is wrong with a listed file: it must be the one that was written, and say what is listed."""

    def read(self, file: MonthFile, start: int = 0) -> Iterator[StoredEvent]:
        """Yield the events of a file, from number `start` on."""

    def chunks(self, file: MonthFile, end: int) -> Iterator[Sequence[StoredEvent]]:
        """Yield the first `end` events of a file in pieces, the last piece first."""

    def of_call(self, file: MonthFile, end: int, call_id: str) -> Iterator[StoredEvent]:
        """Yield those of the first `end` events of a file that are of one call."""

    def prices(self, file: MonthFile) -> list[PriceRow]:
        """Return the prices that the lines of a file's events name."""


class FolderFailed(Exception):
    """A folder of files cannot do what was asked: not there, full, or what is in it is not what was written."""


class Months(Protocol):
    """The months of events in a database, which can leave it and come back. Raises StoreUnavailable."""

    def with_events(self, before_us: int) -> list[int]:
        """Return the starts of the months (UTC) before an instant that have events."""

    def reading(self, month_us: int) -> AbstractContextManager[Iterator[StoredEvent]]:
        """Return the events of a month, in the order they occurred, as they are at one instant."""

    def prices(self) -> list[PriceRow]:
        """Return every price row, also those that newer rows replaced."""

    def archived(self) -> list[Archived]:
        """Return the files that the database knows, in the order of their months."""

    def register(self, file: MonthFile, folder: str, instead_of: Collection[int]) -> Archived:
        """Remember a file of events that are all there, and forget those that it takes the place of."""

    def remove(self, archived: Archived, chunk: Sequence[StoredEvent]) -> Archived:
        """Remove the next of a file's events, and keep what they come to. Raises StoreUnavailable, nothing done."""

    def restore(self, archived: Archived, chunk: Sequence[StoredEvent]) -> Archived:
        """Bring back the last of a file's removed events."""

    def add_prices(self, rows: Sequence[PriceRow]) -> None:
        """Add prices that are not known, for the record alone: none is used from now on."""

    def record(self, events: Sequence[Event]) -> tuple[int, int]:
        """Post events that the database does not know; return how many those were, and how many conflict."""


class Archive(Protocol):
    """One consistent view of everything stored."""

    def list_keys(self) -> list[Key]:
        """Return every virtual key, revoked ones too."""

    def budgets(self) -> list[Budget]:
        """Return the budgets in force."""

    def doubts(self) -> list[Doubt]:
        """Return the models whose providers count more than we do, by provider and model."""

    def prices(self) -> list[PriceRow]:
        """Return every price row, also those that newer rows replaced."""

    def rollups(self, grain: Grain, since_us: int, until_us: int) -> Iterator[Rollup]:
        """Yield the sums of quarters of an hour, or of days, that begin in [since, until)."""

    def newest_us(self) -> int | None:
        """Return the start of the newest quarter of an hour in which anything was used, None where nothing was."""

    def sums(self, piece: Slice, dimensions: Sequence[str], where: Mapping[str, str]) -> Iterator[Sum]:
        """Yield the sums of a slice by its spans and by `dimensions`, of those that have every value of `where`.

        Values may come more than once. Raises EventsArchived for a slice of events.
        """

    def events(self) -> Iterator[Event]:
        """Yield every event, in the order they were posted."""

    def events_by_time(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events that occurred in [since, until), in the order they occurred. Raises EventsArchived."""

    def live_events(self, span: tuple[int, int] | None = None) -> Iterator[Event]:
        """Yield the events, of the span alone if said, that are not archived, in the order they occurred."""

    def search_events(self, asked: Search) -> list[Posted]:
        """Return the newest events that fit, by when they occurred, the newest first."""

    def posted_after(self, number: int, limit: int) -> list[Posted]:
        """Return the events that were posted after the one with the `number` of its place, in the order of posting."""

    def last_number(self) -> int:
        """Return the number of the event that was posted last, 0 where there is none."""

    def corrections(self, since_us: int, until_us: int) -> list[Event]:
        """Return the corrections of events that occurred in [since, until), in the order they were posted.

        Raises EventsArchived.
        """

    def conversation_events(self, since_us: int, until_us: int) -> Iterator[Event]:
        """Yield the events of [since, until) that belong to a conversation. Raises EventsArchived."""

    def call_events(self, call_id: str) -> list[Event]:
        """Return the events of one call, without those that are archived."""

    def call_archived(self, call_id: str) -> list[Archived]:
        """Return the files that may have events of one call, where some are archived."""

    def archived(self) -> list[Archived]:
        """Return the files that have events which are not in the database any more."""

    def archived_sums(self, archived: Archived) -> Iterator[tuple[Attribution, str, tuple[int, ...]]]:
        """Yield what the removed events of a file come to, by attribution and currency, in the order of SUMS."""

    def archived_entries(self, archived: Archived) -> Iterator[tuple[int, int]]:
        """Yield (entry id, cost in picos) of the removed events of a file, in the order of entries."""

    def open_hold(self, hold_id: str) -> Hold | None:
        """Return one hold while it is open."""

    def ended_hold(self, hold_id: str) -> EndedHold | None:
        """Return one hold that was let go without a charge."""

    def refused_call(self, call_id: str) -> RefusedCall | None:
        """Return one refused call, while it is one of the last."""

    def refused_calls(self, asked: RefusedSearch) -> list[RefusedCall]:
        """Return the newest refused calls that fit, of those that are kept."""

    def refused_counts(self, since_us: int, until_us: int) -> dict[RefusedKind, int]:
        """Return how many calls were refused in the hours that begin in [since, until)."""

    def open_holds(self) -> list[Hold]:
        """Return the holds that have not ended."""

    def counters(self) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter."""

    def counters_of(self, keys: Collection[CounterKey]) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of the counters among `keys` that there are."""

    def counters_in(self, windows: Collection[tuple[str, int]]) -> dict[CounterKey, tuple[int, int]]:
        """Return (held, spent) of every counter in `windows`: budget id and start of the window."""

    def budget_starts(self) -> dict[str, int]:
        """Return when each budget in force was set."""

    def counters_horizon_us(self) -> int:
        """Return before when counters of windows of minutes and hours are not kept any more."""

    def entry_costs(self) -> Iterator[tuple[int, int]]:
        """Yield (entry id, cost in picos) of every event that an entry was posted for, in the order of posting."""

    def damage(self) -> list[str]:
        """Return what the store finds wrong with its own files."""

    def postings(self) -> Iterator[tuple[int, str, str, int]]:
        """Yield (entry id, currency, account, amount in picos) of every posting, in the order of their entries."""

    def balances(self) -> dict[tuple[str, str], int]:
        """Return the balance in picos of each (account, currency)."""


class Administration(Protocol):
    """Changes to keys, budgets, teams and trust in counts, in one transaction."""

    def list_keys(self) -> list[Key]:
        """Return every virtual key, revoked ones too."""

    def add_key(self, key: Key) -> None:
        """Store a new key."""

    def revoke_key(self, key_id: str, at_us: int) -> bool:
        """Revoke a live key; tell whether there was one."""

    def change_secret(self, key: Key) -> None:
        """Store a key's new secret, and until when the one before it is good."""

    def budgets(self) -> list[Budget]:
        """Return the budgets in force."""

    def add_budget(self, budget: Budget, at_us: int) -> None:
        """Store a new budget, its counters filled with what its current windows hold and spent already."""

    def change_budget(self, budget: Budget) -> None:
        """Change limit and mode of a budget; its counters stay."""

    def remove_budget(self, budget_id: str, at_us: int) -> None:
        """Take a budget out of force."""

    def reset_trust(self, provider: str, model: str) -> bool:
        """Believe the count of a model again as if it was never contradicted; tell whether it was."""

    def owners(self, customer: str) -> frozenset[str]:
        """Return the teams that may name a customer; the empty text stands for none. Nobody: it is new."""

    def share(self, customer: str, team: str) -> None:
        """Let a team name a customer, beside those that may already."""

    def unshare(self, customer: str, team: str) -> bool:
        """Let a team name a customer no more; tell whether it could."""

    def customers_of(self, team: str) -> list[str]:
        """Return the customers for which it was said that the team may name them."""

    def teams(self) -> list[str]:
        """Return every team that has a key, an allowance or a customer of its own."""

    def allowance(self, team: str) -> Allowance | None:
        """Return what a team may report a day, None where it may report nothing."""

    def set_allowance(self, team: str, given: Allowance | None, at_us: int) -> None:
        """Let a team report so much a day from now on."""

    def reported(self, team: str, day_us: int) -> Reported:
        """Return what a team has reported on the day (UTC) that begins then."""

    def set_reported(self, team: str, day_us: int, sums: Reported) -> None:
        """Write what a team has reported on a day."""

    def known_events(self, named: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those of (source, event id) that are in the books."""


class AdminKeys(Protocol):
    """Keys to the control plane, in one transaction."""

    def list_all(self) -> list[AdminKey]:
        """Return every admin key, expired and revoked ones too, in the order of their creation."""

    def find(self, secret_hash: bytes) -> AdminKey | None:
        """Return the key whose secret hashes to `secret_hash`."""

    def add(self, admin: AdminKey) -> None:
        """Store a new admin key."""

    def revoke(self, admin_id: str, at_us: int) -> bool:
        """Revoke a live admin key; tell whether there was one."""


class Given(NamedTuple):
    """What a named request was answered."""

    request_hash: bytes
    status: int
    body: bytes


class Answers(Protocol):
    """What requests that clients named were answered, kept for a day; in one transaction."""

    def find(self, owner: str, name: str) -> Given | None:
        """Return what `owner` was given for the request it called `name`."""

    def add(self, owner: str, name: str, given: Given, at_us: int) -> None:
        """Keep an answer; an earlier one of that name stays."""


class Opened(NamedTuple):
    """What one transaction can be used for. In one that only reads, nothing may be changed."""

    archive: Archive
    administration: Administration
    admins: AdminKeys
    answers: Answers


class Store(Protocol):
    """Transactions of the control plane; each is used by one thread."""

    def read(self) -> AbstractContextManager[Opened]:
        """Return one consistent view of everything stored. Raises StoreUnavailable."""

    def write(self) -> AbstractContextManager[Opened]:
        """Return one durable transaction; what is raised in it undoes it. Raises StoreUnavailable."""
