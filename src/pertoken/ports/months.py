"""Events of whole months, in the database and in files."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from pertoken.core.events import Event
from pertoken.core.periods import format_time
from pertoken.core.prices import PriceRow


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


FILES_SHOWN = 3  # in one message


def where_archived(archived: Sequence[Archived]) -> str:
    """Return for people where events went, and how they come back."""
    files = ", ".join(f"{one.name} in {one.folder}" for one in archived[:FILES_SHOWN])
    more = f" and {len(archived) - FILES_SHOWN} more" if len(archived) > FILES_SHOWN else ""
    month = format_time(archived[0].month_us)[:7]
    return f"{files}{more}; to bring them back: pertoken archive import {archived[0].folder} --month {month}"


class EventsArchived(Exception):
    """What is asked for needs events that are in files by now."""

    def __init__(self, archived: Sequence[Archived]) -> None:
        super().__init__(f"this needs archived events: {where_archived(archived)}")
        self.archived = archived


class MonthFiles(Protocol):
    """A folder of files with the events of months, and their list. Raises FolderFailed."""

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def locked(self, *, make: bool = False) -> AbstractContextManager[None]:
        """Let nobody else change the folder; with `make` it need not be there yet."""

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
    """An archive folder cannot be used: it is missing, full, or its contents are not what was written."""


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
