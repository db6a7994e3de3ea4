"""Events of whole months, in the database and in files."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from pertoken.core.events import Event
from pertoken.core.periods import format_time
from pertoken.core.prices import PriceRow


class StoredEvent(NamedTuple):
    """An event with its entry; None if it cost nothing."""

    event: Event
    entry_id: int | None


class MonthFile(NamedTuple):
    """A file of events of one month, in the order in which they occurred, as the manifest lists it."""

    name: str
    month_us: int  # the start of the month in UTC
    events: int
    conversations: int  # the number of events that belong to an entry
    cost_picos: Mapping[str, int]  # by currency
    sha256: str
    size: int  # bytes
    made_at_us: int


class Archived(NamedTuple):
    """A file as the database knows it: its first `removed` events are no longer in the database."""

    archive_id: int
    name: str
    month_us: int
    folder: str  # where it was written
    sha256: str
    events: int
    conversations: int
    removed: int


FILES_SHOWN = 3  # in one message


def where_archived(archived: Sequence[Archived]) -> str:
    """Say where events were archived, and how to bring them back."""
    files = ", ".join(f"{one.name} in {one.folder}" for one in archived[:FILES_SHOWN])
    more = f" and {len(archived) - FILES_SHOWN} more" if len(archived) > FILES_SHOWN else ""
    month = format_time(archived[0].month_us)[:7]
    return f"{files}{more}; to bring them back: pertoken archive import {archived[0].folder} --month {month}"


class EventsArchived(Exception):
    """The request needs events that have been archived."""

    def __init__(self, archived: Sequence[Archived]) -> None:
        super().__init__(f"this needs archived events: {where_archived(archived)}")
        self.archived = archived


class MonthFiles(Protocol):
    """A folder of files with events by month, and their manifest. Raises FolderFailed."""

    @property
    def place(self) -> str:
        """The folder's place, for people."""

    def locked(self, *, make: bool = False) -> AbstractContextManager[None]:
        """Lock the folder against changes by others; with `make`, create it if it is missing."""

    def files(self) -> list[MonthFile]:
        """Return the files in the manifest, by name."""

    def unlisted(self) -> list[str]:
        """Return the names of files of months that are in the folder and not in the manifest."""

    def write(
        self, month_us: int, events: Iterable[StoredEvent], prices: Mapping[str, PriceRow], at_us: int,
        taken: Collection[str] = (),
    ) -> MonthFile:  # fmt: skip
        """Write the events of a month to a new, durable file that is not listed yet, and read it back to check it.

        Its name is that of no listed file and none of `taken`.
        """

    def publish(self, file: MonthFile, instead_of: Collection[str]) -> None:
        """List a written file instead of the files with the hashes `instead_of`, which are removed."""

    def faults(self, file: MonthFile) -> list[str]:
        """Return the faults of a listed file: it must be unchanged, and its content must agree with the manifest."""

    def read(self, file: MonthFile, start: int = 0) -> Iterator[StoredEvent]:
        """Yield the events of a file, from number `start` on."""

    def chunks(self, file: MonthFile, end: int) -> Iterator[Sequence[StoredEvent]]:
        """Yield the first `end` events of a file in pieces, the last piece first."""

    def of_call(self, file: MonthFile, end: int, call_id: str) -> Iterator[StoredEvent]:
        """Yield the events of one call among the first `end` events of a file."""

    def prices(self, file: MonthFile) -> list[PriceRow]:
        """Return the prices to which the lines of a file's events refer."""


class FolderFailed(Exception):
    """An archive folder cannot be used: it is missing or full, or its contents were changed."""


class Months(Protocol):
    """The months of events in a database, which can be archived and brought back. Raises StoreUnavailable."""

    def with_events(self, before_us: int) -> list[int]:
        """Return the starts of the months (UTC) before an instant that have events."""

    def reading(self, month_us: int) -> AbstractContextManager[Iterator[StoredEvent]]:
        """Return the events of a month in the order in which they occurred, in one consistent view."""

    def prices(self) -> list[PriceRow]:
        """Return every price row, including replaced ones."""

    def archived(self) -> list[Archived]:
        """Return the files that the database knows, by month."""

    def register(self, file: MonthFile, folder: str, instead_of: Collection[int]) -> Archived:
        """Record a file whose events are all still in the database, and forget the files that it replaces."""

    def remove(self, archived: Archived, chunk: Sequence[StoredEvent]) -> Archived:
        """Remove the next events of a file, and keep their sums. Raises StoreUnavailable; then nothing has changed."""

    def restore(self, archived: Archived, chunk: Sequence[StoredEvent]) -> Archived:
        """Bring back the last removed events of a file."""

    def add_prices(self, rows: Sequence[PriceRow]) -> None:
        """Add unknown prices, only for the record: they are not used for new calls."""

    def record(self, events: Sequence[Event]) -> tuple[int, int]:
        """Post events that the database does not have; return how many were posted, and how many conflict."""
