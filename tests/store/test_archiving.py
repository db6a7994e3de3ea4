"""Old months leave the database for files and come back; an event is always in one of the two, and the books agree."""

import itertools
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from tests.conftest import DEEP, STORES, Fill, MakeDatabase, deep, with_schema
from tests.store import history
from tests.store.history import DAY_US, UNTIL_US

from pertoken.core.commands import Conflict, Duplicate, Record
from pertoken.core.events import Event, OfReport, is_correction
from pertoken.core.periods import parse_time
from pertoken.core.price_book import Sellers
from pertoken.ports.events import Search
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.months import EventsArchived, FolderFailed
from pertoken.services import archiving, reports
from pertoken.services.archiving import NotArchived, archive, bring_back, check
from pertoken.services.budgets import BadBudget, Wish, set_budget, status
from pertoken.services.explain import explain
from pertoken.services.verify import verify
from pertoken.store import month_files
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.store.month_files import MonthFolder
from pertoken.store.months import DatabaseMonths
from pertoken.wiring.clock import SystemClock

EVENTS = history.made(1, 400)
BEFORE_US = parse_time("2026-10-01")
OLD = [event for event in EVENTS if event.occurred_at_us < BEFORE_US]
REPORTED = [event for event in OLD if isinstance(event.of, OfReport)]
MONTHS = ["2025-10", "2026-03", "2026-04", "2026-09"]
EACH_STEP = "CRASH_COPIES" in os.environ  # make crash
# Of the steps of an archive, each one, or one of so many.
STRIDES = {"sqlite": 1 if DEEP or EACH_STEP else 4, "postgresql": 1 if EACH_STEP else 4 if DEEP else 10}
REPORTS = [(("month", "model"), "UTC"), (("hour", "tag:env"), "Asia/Kathmandu"), (("day", "key"), "America/New_York")]


class Clock(SystemClock):
    """The time at which the history ends."""

    def now_us(self) -> int:
        """Return it."""
        return UNTIL_US


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move few events at a time, so that there are several of everything."""
    monkeypatch.setattr(archiving, "CHUNK", 40)
    monkeypatch.setattr(month_files, "CHUNK", 30)
    monkeypatch.setattr(month_files, "GROUP", 70)


@pytest.fixture(params=STORES)
def make_new(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path
) -> Iterator[Callable[[], Any]]:
    """Return a function that makes another empty database of a kind, of each in turn."""
    numbers, made = itertools.count(), []

    def make(fill: Fill = with_schema) -> Database:
        folder = tmp_path / f"database-{next(numbers)}"
        folder.mkdir()
        made.append(Database(make_database(request.param, folder, fill), synced=False))  # no test loses its machine
        return made[-1]

    yield make
    for database in made:
        database.close()


def with_history(url: str) -> None:
    """Give a database the history, and a budget of each window."""
    database = Database(url, synced=False)
    database.migrate()
    with database.write() as connection:
        for window in ("day", "month", "total"):
            early = type("Early", (SystemClock,), {"now_us": lambda _: history.SINCE_US})()
            set_budget(Administration(connection), early, Wish(window, "1000000", window=window, each="customer"))
    history.record(database, EVENTS)
    database.close()


@pytest.fixture
def database(make_new: Callable[[Fill], Database]) -> Database:
    """Return a database with the history in it, and a budget of each window."""
    return make_new(with_history)


@pytest.fixture
def folder(tmp_path: Path) -> MonthFolder:
    """Return a folder for files."""
    path = tmp_path / "archive"
    path.mkdir()
    return MonthFolder(path, "test")


def months(database: Database) -> DatabaseMonths:
    """Return the months of a database."""

    def open_books() -> Bookkeeper:
        books = Bookkeeper(database, Clock().now_us, Sellers())
        books.refresh()
        return books

    return DatabaseMonths(database, open_books)


def nothing() -> None:
    """Rest for no time."""


def put_away(database: Database, folder: MonthFolder, before_us: int = BEFORE_US) -> list[str]:
    """Archive; return the names of the files."""
    return [one.file.name for one in archive(months(database), folder, before_us, UNTIL_US, nothing)]


def fetch(database: Database, folder: MonthFolder, month_us: int | None = None) -> list[tuple[int, int]]:
    """Import; return how many events of each file were moved, and how many were there."""
    return [(one.moved, one.known) for one in bring_back(months(database), folder, month_us, nothing)]


@contextmanager
def seen(database: Database) -> Iterator[Archive]:
    """Yield what is stored."""
    with database.read() as connection:
        yield Archive(connection)


def differences(database: Database, folder: MonthFolder | None = None) -> list[dict[str, Any]]:
    """Return what is wrong with the books; with a folder, also when everything is derived from its files."""
    with seen(database) as stored:
        found = verify(stored, UNTIL_US).differences
        return found + (verify(stored, UNTIL_US, folder).differences if folder is not None else [])


def live(database: Database) -> list[Event]:
    """Return the events in a database, by their identity."""
    with seen(database) as stored:
        return sorted(stored.events(), key=lambda event: (event.source, event.event_id))


def told(database: Database) -> list[Any]:
    """Return reports, balances and how budgets stand."""
    with seen(database) as stored:
        made = [reports.usage(stored, history.SINCE_US, UNTIL_US, by, zone) for by, zone in REPORTS]
        return [*made, stored.balances(), stored.counters(), status(stored, UNTIL_US)]


def test_nothing_but_the_events_goes(database: Database, folder: MonthFolder) -> None:
    """Reports, balances, budgets and identities stay as they were; the books are proven, with and without the files."""
    before, events = told(database), live(database)
    assert put_away(database, folder) == [f"{month}.parquet" for month in MONTHS]

    assert told(database) == before
    assert differences(database, folder) == []
    assert {event.event_id for event in live(database)} == {one.event_id for one in EVENTS} - {
        one.event_id for one in OLD
    }
    with seen(database) as stored:
        verdict = verify(stored, UNTIL_US)
        with_files = verify(stored, UNTIL_US, folder)
        assert [one.month_us for one in stored.archived()] == [parse_time(f"{month}-01") for month in MONTHS]
    assert (verdict.checked["events"], verdict.checked["archived_events"]) == (len(EVENTS) - len(OLD), len(OLD))
    assert verdict.checked["counters_of_archived_months"] > 0
    assert with_files.checked["events"] == len(EVENTS)
    assert put_away(database, folder) == []  # there is no more
    assert fetch(database, folder) != []
    assert live(database) == events
    assert (told(database), differences(database, folder)) == (before, [])
    assert fetch(database, folder) == [(0, sum(f"{month}" in _month(one) for one in OLD)) for month in MONTHS]


def _month(event: Event) -> str:
    with_time = event.occurred_at_us
    return next(month for month in reversed(MONTHS) if parse_time(f"{month}-01") <= with_time)


def test_a_file_is_of_use_by_itself(database: Database, folder: MonthFolder, tmp_path: Path) -> None:
    """Any reader of Parquet finds every event with whose it is, exact amounts and times; the list says what it has."""
    put_away(database, folder)
    found = {}
    for path in (tmp_path / "archive").glob("*.parquet"):
        for row in pq.read_table(path).to_pylist():
            found[row["source"], row["event_id"]] = row
    manifest = json.loads((tmp_path / "archive" / "manifest.json").read_text())

    assert len(found) == len(OLD)
    for event in OLD:
        row, owner = found[event.source, event.event_id], event.attribution
        assert [row[name] for name in ("key", "team", "customer", "user", "provider", "model")] == list(owner[:6])
        assert json.loads(row["tags"]) == dict(owner.tags)
        assert (row["conversation"], row["currency"], row["status"]) == (
            owner.conversation,
            event.currency,
            event.status,
        )
        assert (int(row["cost_picos"]), json.loads(row["quantities"])) == (event.cost_picos, event.quantities)
        assert row["occurred_at"].timestamp() == event.occurred_at_us / 1e6
        assert sum(line[3] for line in json.loads(row["lines"])) == event.cost_picos
    assert [one["month"] for one in manifest["files"]] == MONTHS
    assert sum(one["events"] for one in manifest["files"]) == len(OLD)
    total = sum(int(one["cost_picos"].get("USD", "0")) for one in manifest["files"])
    assert total == sum(event.cost_picos for event in OLD if event.currency == "USD")


def test_what_is_archived_stays_known(database: Database, folder: MonthFolder) -> None:
    """The same event again is a duplicate, with other content a conflict; a call says where it is."""
    put_away(database, folder)
    books = Bookkeeper(database, Clock().now_us, Sellers())
    books.refresh()
    again = [Record(REPORTED[0]), Record(REPORTED[1]._replace(of=OfReport(b"other")))]
    assert books.transact(again) == [Duplicate(), Conflict()]
    books.close()
    with seen(database) as stored:
        told = explain(stored, OLD[0].event_id)
        assert explain(stored, "call_nobody_made") is None
    assert told is not None
    assert told["status"] == "archived"
    assert [(one["file"], one["folder"]) for one in told["archived"]] == [(f"{_month(OLD[0])}.parquet", folder.place)]
    assert differences(database, folder) == []


def test_what_needs_archived_events_is_refused(database: Database, folder: MonthFolder) -> None:
    """Sessions, corrections and ends within a quarter of an hour say which file they would need; the rest works."""
    put_away(database, folder)
    at_us = OLD[0].occurred_at_us - OLD[0].occurred_at_us % DAY_US
    with seen(database) as stored:
        for ask in (
            lambda: reports.conversations(stored, at_us, UNTIL_US, "UTC"),
            lambda: stored.corrections(at_us, at_us + DAY_US),
            lambda: list(stored.events_by_time(at_us, at_us + DAY_US)),
            lambda: reports.usage(stored, at_us + 1, at_us + DAY_US, (), "UTC"),
        ):
            with pytest.raises(EventsArchived, match=r"\.parquet in .*pertoken archive import"):
                ask()
        assert reports.conversations(stored, BEFORE_US, UNTIL_US, "UTC")["rows"]
        assert reports.usage(stored, BEFORE_US + 1, UNTIL_US, (), "UTC")["rows"]
        found = stored.search_events(Search({}, 0, UNTIL_US, None, 1_000))
        assert len(found) == len(EVENTS) - len(OLD)


def test_a_new_budget_knows_what_is_archived(database: Database, folder: MonthFolder) -> None:
    """In total it counts archived events, too, by their sums; by conversation it cannot, and says so."""
    put_away(database, folder)
    wishes = [
        Wish("all", "10", window="total"),
        Wish("tokens", "10", axis="tokens", window="total", each="tag:env"),
        Wish("red", "10", axis="requests", window="total", scope={"team": "red"}),
        Wish("this month", "10", window="month", zone="Pacific/Auckland", each="conversation"),
    ]
    with database.write() as connection:
        for wish in wishes:
            set_budget(Administration(connection), Clock(), wish)
    with pytest.raises(BadBudget, match="2025-10"), database.write() as connection:
        set_budget(Administration(connection), Clock(), Wish("talks", "1", window="total", each="conversation"))

    assert differences(database, folder) == []
    with seen(database) as stored:
        spent = {row["name"]: row["spent"] for row in status(stored, UNTIL_US)["budgets"]}
    calls = sum(event.attribution.team == "red" and not is_correction(event) for event in EVENTS)
    assert spent["red"] == calls


def test_this_month_and_the_last_one_stay(database: Database, folder: MonthFolder) -> None:
    """Windows that run now may begin in the month before: it is not archived, whatever is asked."""
    with pytest.raises(NotArchived, match="--before 2026-10 "):
        put_away(database, folder, parse_time("2026-11-01"))
    assert len(live(database)) == len(EVENTS)


def test_usage_reported_late_makes_a_second_file(database: Database, folder: MonthFolder) -> None:
    """An event of an archived month is counted, and goes to another file of that month the next time."""
    put_away(database, folder)
    late = [event._replace(event_id=f"late-{event.event_id}") for event in OLD if not is_correction(event)][:5]
    history.record(database, late)
    assert differences(database, folder) == []
    names = put_away(database, folder)

    assert names == sorted({f"{_month(event)}.2.parquet" for event in late})
    assert differences(database, folder) == []
    assert check(folder)[1] == []
    fetch(database, folder)
    assert len(live(database)) == len(EVENTS) + len(late)
    assert differences(database) == []


def test_a_month_that_came_back_goes_again(database: Database, folder: MonthFolder, tmp_path: Path) -> None:
    """Archived again, it is in one file: the one that it came back from goes."""
    put_away(database, folder)
    fetch(database, folder, parse_time("2026-03-01"))
    assert differences(database, folder) == []
    assert put_away(database, folder) == ["2026-03.2.parquet"]

    listed = [file.name for file in folder.files()]
    assert listed == ["2025-10.parquet", "2026-03.2.parquet", "2026-04.parquet", "2026-09.parquet"]
    assert sorted(path.name for path in (tmp_path / "archive").glob("*.parquet")) == listed
    assert (check(folder)[1], differences(database, folder)) == ([], [])


def test_what_is_nowhere_else_is_not_overwritten(database: Database, folder: MonthFolder, tmp_path: Path) -> None:
    """Without its list, a file keeps the events that the database has no more: late usage makes a file beside it."""
    put_away(database, folder)
    manifest = tmp_path / "archive" / "manifest.json"
    files = {path: path.read_bytes() for path in manifest.parent.glob("*.parquet")}
    manifest.rename(tmp_path / "lost")
    history.record(database, [REPORTED[0]._replace(event_id="late")])
    [name] = put_away(database, folder)

    assert {path: path.read_bytes() for path in files} == files
    unlisted = [{"file": path.name, "fault": archiving.UNLISTED} for path in sorted(files)]
    assert check(folder) == (folder.files(), unlisted)
    assert [file.name for file in folder.files()] == [name]


def test_two_databases_share_a_folder(
    database: Database, make_new: Callable[[], Database], folder: MonthFolder
) -> None:
    """Each has files of its own: nobody's file is written over or removed."""
    other = make_new()
    theirs = [event for event in EVENTS if not is_correction(event)]
    history.record(other, [event._replace(event_id=f"other-{event.event_id}") for event in theirs])
    put_away(database, folder)
    names = put_away(other, folder)

    assert names == [f"{month}.2.parquet" for month in MONTHS]
    assert len(folder.files()) == 2 * len(MONTHS)
    assert differences(database, folder) == differences(other, folder) == []


def test_an_empty_database_takes_an_archive_in(
    database: Database, make_new: Callable[[], Database], folder: MonthFolder
) -> None:
    """All archived events are posted there once, with every part; the books agree; a second time changes nothing."""
    events = {(event.source, event.event_id): event for event in live(database)}
    put_away(database, folder)
    other = make_new()
    counts = [file.events for file in folder.files()]

    assert fetch(other, folder) == [(count, 0) for count in counts]
    assert fetch(other, folder) == [(0, count) for count in counts]
    assert [events[event.source, event.event_id] for event in live(other)] == live(other)
    assert len(live(other)) == len(OLD)
    assert differences(other, folder) == []
    since_us, until_us = history.SINCE_US, BEFORE_US
    with seen(database) as here, seen(other) as there:
        for by, zone in REPORTS:
            assert reports.usage(here, since_us, until_us, by, zone) == reports.usage(
                there, since_us, until_us, by, zone
            )


def test_what_conflicts_is_left(database: Database, make_new: Callable[[], Database], folder: MonthFolder) -> None:
    """An event that the other database has with other content stays as it is there, and is counted."""
    put_away(database, folder)
    other = make_new()
    history.record(other, [REPORTED[0]._replace(of=OfReport(b"other"))])
    results = list(bring_back(months(other), folder, None, nothing))

    assert sum(one.conflicting for one in results) == 1
    assert sum(one.moved for one in results) == len(OLD) - 1
    assert differences(other) == []


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (flip, "its hash is not the one that is listed"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "its hash is not the one that is listed"),
        (lambda path: path.unlink(), "it is listed but missing"),
    ],
)
def test_a_damaged_file_is_found_and_not_taken_in(
    database: Database, folder: MonthFolder, damage: Callable[[Path], None], fault: str
) -> None:
    """A file that is not as it was written is named by every check, and nothing of it comes back."""
    put_away(database, folder)
    damage(Path(folder.place) / "2026-03.parquet")
    events = live(database)

    [found] = check(folder)[1]
    assert found["file"] == "2026-03.parquet"
    assert found["fault"].startswith(fault)
    with pytest.raises(FolderFailed, match=rf"2026-03.parquet: {fault}"):
        fetch(database, folder, parse_time("2026-03-01"))
    assert live(database) == events
    assert differences(database) == []
    assert {"kind": "archive", "id": "2026-03.parquet", "difference": found["fault"]} in differences(database, folder)


def test_a_list_that_lies_is_found(database: Database, folder: MonthFolder) -> None:
    """Counts and sums of the list are compared with the file; a name that is a path is refused."""
    put_away(database, folder)
    path = Path(folder.place) / "manifest.json"
    manifest = json.loads(path.read_text())
    first, second, third = manifest["files"][:3]
    first["events"] += 1
    second["cost_picos"]["USD"] += "0"
    third["month"] = "2026-05"
    path.write_text(json.dumps(manifest))
    faults = {one["file"]: one["fault"] for one in check(folder)[1]}

    assert set(faults) == {"2025-10.parquet", "2026-03.parquet", "2026-04.parquet"}
    assert "events: " in faults["2025-10.parquet"]
    assert "cost_picos: " in faults["2026-03.parquet"]
    assert "out of place" in faults["2026-04.parquet"]
    first["file"] = "../2025-10.parquet"
    path.write_text(json.dumps(manifest))
    with pytest.raises(FolderFailed, match=r"manifest\.json"):
        folder.files()


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE archived_sums SET cost_picos_high = cost_picos_high + 1",
        "UPDATE archived_sums SET calls = calls - 1",
        "UPDATE archived_entries SET amount_picos_low = amount_picos_low + 1",
        "DELETE FROM archived_sums",
        "DELETE FROM archives",
        "UPDATE rollups SET output_tokens_low = output_tokens_low + 1",
        "UPDATE day_rollups SET cost_picos_low = cost_picos_low + 1",
    ],
)
def test_what_is_kept_of_archived_events_is_proven(database: Database, folder: MonthFolder, tampering: str) -> None:
    """A change by hand of what the database keeps is found without the files."""
    put_away(database, folder)
    with database.write() as connection:
        connection.exec_driver_sql(tampering)

    assert differences(database) != []


def test_calls_go_on_meanwhile(database: Database, folder: MonthFolder) -> None:
    """Between two transactions of an archive another process writes; what it posts to such a month is not lost."""
    late = iter(event._replace(event_id=f"late-{event.event_id}") for event in OLD if not is_correction(event))
    posted = []

    def others() -> None:
        event = next(late, None)
        if event is not None and len(posted) < 10:
            posted.append(event)
            history.record(database, [event])

    for _ in archive(months(database), folder, BEFORE_US, UNTIL_US, others):
        pass
    assert posted
    assert differences(database, folder) == []
    put_away(database, folder)
    assert differences(database, folder) == []
    fetch(database, folder)
    assert {event.event_id for event in live(database)} == {one.event_id for one in (*EVENTS, *posted)}


def test_two_commands_do_not_both_remove(database: Database, folder: MonthFolder, tmp_path: Path) -> None:
    """A second command on the same month, with a folder of its own, is stopped and nothing is removed twice."""
    other = MonthFolder(tmp_path / "other", "test")
    (tmp_path / "other").mkdir()
    original = months(database)
    with original.reading(parse_time("2025-10-01")) as events:
        file = other.write(parse_time("2025-10-01"), events, {}, UNTIL_US)
    stale = original.register(file, other.place, [])
    other.publish(file, [])
    chunk = list(itertools.islice(other.read(file), 10))
    put_away(database, folder)
    with pytest.raises(StoreUnavailable, match="another command"):
        original.remove(stale, chunk)
    with folder.locked(), pytest.raises(FolderFailed, match="another command"), folder.locked():
        pass
    assert differences(database, folder) == []


class Crash(BaseException):
    """The process ends here."""


def _forget(_descriptor: int) -> None:
    """Do not wait for the disk."""


class Crashes:
    """Ends the process at one of its steps, before it: what is between two of them changes nothing on disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 0
        self.count = 0
        self._thread = threading.get_ident()
        monkeypatch.setattr(os, "fsync", self._around(_forget))  # the process ends, and not the machine
        files = ((Path, "replace"), (Path, "unlink"), (Path, "write_bytes"))
        for owner, name in (*files, (pq.ParquetWriter, "write_batch")):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))
        original = Database.write

        @contextmanager
        def write(database: Database) -> Iterator[sa.Connection]:
            self.step()
            with original(database) as connection:
                yield connection
                self.step()  # decided, not committed

        monkeypatch.setattr(Database, "write", write)

    def step(self) -> None:
        """Count, and crash when it is time. What other threads do is no step of this process."""
        if threading.get_ident() != self._thread:
            return
        self.count += 1
        if self.count == self.at:
            raise Crash

    def _around(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **named: Any) -> Any:
            self.step()
            return original(*words, **named)

        return call

    def during(self, work: Callable[[], Any], at: int) -> bool:
        """Work until step `at`; tell whether the work ended before."""
        self.count, self.at = 0, at
        try:
            work()
        except Crash:
            return False
        finally:
            self.at = 0
        return True


def everywhere(database: Database, folder: MonthFolder) -> set[tuple[str, str]]:
    """Return the identities of all events that are in the database or, removed, in a file that is listed."""
    found = {(event.source, event.event_id) for event in live(database)}
    with seen(database) as stored:
        for archived in stored.archived():
            [file] = [one for one in folder.files() if one.sha256 == archived.sha256]
            assert folder.faults(file) == []
            removed = itertools.islice(folder.read(file), archived.removed)
            names = {(stored_event.event.source, stored_event.event.event_id) for stored_event in removed}
            assert not names & found  # in one of the two
            found |= names
    return found


@deep
def test_a_crash_at_any_step_loses_nothing(
    make_new: Callable[[], Database], folder: MonthFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever archiving or importing ends, every event is in the database or in a proven file; again, it completes."""
    monkeypatch.setattr(archiving, "CHUNK", 12)
    monkeypatch.setattr(month_files, "CHUNK", 8)
    monkeypatch.setattr(month_files, "GROUP", 20)
    database, before_us = make_new(), parse_time("2026-03-30")
    some = [event for event in EVENTS if event.occurred_at_us < before_us][:60] + EVENTS[-10:]
    history.record(database, some)
    crashes, chance = Crashes(monkeypatch), random.Random(1)
    names, events = {(event.source, event.event_id) for event in some}, live(database)

    def put() -> None:
        put_away(database, folder)

    def get() -> None:
        fetch(database, folder)

    for at in itertools.count(1, STRIDES[database.url.get_backend_name()]):
        ended = crashes.during(put, at)
        assert everywhere(database, folder) == names
        if at % 5 == 0 or at == 1:
            assert differences(database, folder) == []
        if chance.random() < 0.3:  # once more, while it completes
            crashes.during(put, chance.randrange(1, 40))
        put()
        assert all(event.occurred_at_us >= BEFORE_US for event in live(database))
        come_back = crashes.during(get, at)
        assert everywhere(database, folder) == names
        get()
        assert live(database) == events
        if ended and come_back:
            break
    put()
    assert everywhere(database, folder) == names
    assert (differences(database, folder), check(folder)[1]) == ([], [])
    listed = {file.name for file in folder.files()}
    assert {path.name for path in Path(folder.place).glob("*.parquet")} == listed
    assert at > 40
