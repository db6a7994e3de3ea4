"""How cost grows with history: `python bench/growth.py [--events N ...] [--database sqlite|postgresql]`.

Makes a database of N events for each N (`bench/history.py`: two years, 400 series) and measures on it what must not
grow: the CPU of holds and settlements in process, through the bookkeeper; and what may grow with what is asked for
alone: reports of 31 days by any two dimensions in three time zones, and everything else that reads. Ten million events
take about 8 GB and ten minutes; with `--keep FOLDER` databases of SQLite stay there and are used again.
"""

import argparse
import contextlib
import itertools
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import history
from rich.console import Console
from rich.table import Table

from pertoken.core.budgets import Attribution
from pertoken.core.commands import OpenHold, Settle
from pertoken.core.events import Event, EventStatus, OfCall
from pertoken.core.holds import Hold
from pertoken.core.periods import DAY_US
from pertoken.core.reporting import Grain
from pertoken.core.usage import Completeness
from pertoken.ports.events import Search
from pertoken.services import reports
from pertoken.services.budgets import Wish, set_budget, status
from pertoken.services.explain import explain
from pertoken.settings import Settings
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database
from pertoken.wiring.bookkeeper import make_bookkeeper
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.database import open_database
from pertoken.wiring.installation import Installation

sys.path.insert(0, str(Path(__file__).parents[1]))

DIMENSIONS = ("model", "key", "team", "customer", "user", "provider", "tag:feature", "day", "hour")
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata")
SINCE_US = history.END_US - 40 * DAY_US
MONTH_US = 31 * DAY_US
PAGE = 1_000  # rows that the control plane answers unless asked for more
CALLS = 800  # of one round
BATCH = 16
BUDGETS = 5
ROUNDS = 3

Rows = dict[str, str]


def main() -> None:
    """Make, measure, and print a column for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000], metavar="N")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    columns: dict[str, Rows] = {}
    for events in chosen.events:
        with database(chosen.database, events, chosen.keep) as url:
            columns[f"{events:,} events"] = measured(url)
    title = f"{chosen.database} on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    table = Table(title=title)
    table.add_column("what")
    for heading in columns:
        table.add_column(heading, justify="right")
    for what in next(iter(columns.values())):
        table.add_row(what, *(rows[what] for rows in columns.values()))
    Console(width=120).print(table)


@contextlib.contextmanager
def database(kind: str, events: int, keep: Path | None) -> Iterator[str]:
    """Yield the address of a database of so many events."""
    with contextlib.ExitStack() as stack:
        if kind == "postgresql":
            from tests.postgresql import running  # noqa: PLC0415 - needs what only developers have installed

            url = stack.enter_context(running()).get_uri()
        else:
            folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = f"sqlite:///{folder}/growth-{events}.db"
            if (folder / f"growth-{events}.db").exists():
                yield url
                return
        began = time.perf_counter()
        history.make(url, events)
        print(f"made {events:,} events in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        yield url


def measured(url: str) -> Rows:
    """Return what everything takes, by what it is."""
    settings = Settings(database_url=url)
    rows = {"start: database and directory": f"{1e3 * best(lambda: start(settings)):,.0f} ms"}
    with open_database(settings) as installation:
        opened = installation.database
        rows |= budgets(opened)
        rows |= calls(installation)
        rows |= month_reports(opened)
        rows |= other_reading(opened)
        forget_budgets(opened)
    seconds, peak_mb = in_child(url)
    rows["verify"] = f"{seconds:,.1f} s"
    rows["verify, memory at its peak"] = f"{peak_mb:,.0f} MB"
    return rows


def best(run: Callable[[], Any]) -> float:
    """Return the seconds of the fastest of some runs."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def start(settings: Settings) -> None:
    """Do what a process does with the database before it serves."""
    with open_database(settings) as opened:
        make_bookkeeper(opened).close()


def budgets(opened: Database) -> Rows:
    """Set the budgets of the calls, and measure those that must know all that was spent."""
    found = {}
    for number in range(BUDGETS - 2):
        add(opened, f"b{number}", "day", each=("team", "key", None)[number])
    for window in ("month", "total"):
        began = time.perf_counter()
        add(opened, window, window, each="customer", scope={"tag:env": "production"})
        found[f"set a budget, {window}, each customer"] = f"{1e3 * (time.perf_counter() - began):,.0f} ms"
    return found


def add(opened: Database, name: str, window: str, **wish: Any) -> None:
    """Set a budget that nothing exceeds."""
    with opened.write() as connection:
        set_budget(Administration(connection), SystemClock(), Wish(name, "1000000", window=window, **wish))


def forget_budgets(opened: Database) -> None:
    """Remove the budgets, for the next measurement on this database to set them."""
    with opened.write() as connection:
        administration = Administration(connection)
        for budget in administration.budgets():
            administration.remove_budget(budget.budget_id, time.time_ns() // 1_000)


def calls(opened: Installation) -> Rows:
    """Measure holds and settlements, one call a transaction and some together; the median of some rounds."""
    found = {}
    chance = random.Random(1)  # noqa: S311 - the same every time
    owners = history.owners(chance)
    for batch in (1, BATCH):
        books = make_bookkeeper(opened)
        cpu, wall = [], []
        for _ in range(ROUNDS * 2 + 1):
            began = time.process_time(), time.perf_counter()
            run_calls(books, owners, chance, batch)
            cpu.append((time.process_time() - began[0]) / CALLS * 1e6)
            wall.append((time.perf_counter() - began[1]) / CALLS * 1e6)
        books.close()
        what = "one a transaction" if batch == 1 else f"{batch} a transaction"
        found[f"hold and settle, {what}: CPU"] = f"{statistics.median(cpu):,.0f} us"
        found[f"hold and settle, {what}: time"] = f"{statistics.median(wall):,.0f} us"
    return found


def run_calls(books: Bookkeeper, owners: list[Attribution], chance: random.Random, batch: int) -> None:
    """Hold and settle calls of all series, five budgets each."""
    for _ in range(0, CALLS, batch):
        holds = [make_hold(chance.choice(owners), chance) for _ in range(batch)]
        revision = books.directory.revision
        books.transact([OpenHold(hold, revision) for hold in holds])
        books.transact([Settle(hold.hold_id, make_event(hold)) for hold in holds])


def make_hold(owner: Attribution, chance: random.Random) -> Hold:
    """Return a hold of now."""
    now_us = time.time_ns() // 1_000
    name = f"call_{now_us:016}{chance.getrandbits(40):010x}"
    talk = f"talk-{chance.getrandbits(64):016x}" if chance.random() < 0.2 else None
    return Hold(name, owner._replace(conversation=talk), 10**9, 1_000, now_us, now_us + 60_000_000, "bench")


def make_event(hold: Hold) -> Event:
    """Return the event that settles a hold."""
    return Event(
        "gateway", hold.hold_id, hold.attribution, hold.opened_at_us, hold.opened_at_us, hold.opened_at_us,
        EventStatus.PRICED, Completeness.FINAL, {"input_tokens": 700, "output_tokens": 200}, "USD", 5 * 10**8, None,
        (("input_tokens", 700, "pr_1", 3 * 10**8), ("output_tokens", 200, "pr_2", 2 * 10**8)), OfCall(),
        raw=b"x" * 100,
    )  # fmt: skip


def month_reports(opened: Database) -> Rows:
    """Measure a month by every pair of dimensions in every zone."""
    found = {}
    for zone in ZONES:
        times = {}
        for by in itertools.combinations(DIMENSIONS, 2):
            times[by] = best(lambda by=by, zone=zone: report(opened, SINCE_US, SINCE_US + MONTH_US, by, zone))
        worst = max(times, key=lambda by: times[by])
        print(f"slowest in {zone}: by {','.join(worst)}", file=sys.stderr)
        found[f"31 days by two dimensions, {zone}: median"] = f"{1e3 * statistics.median(times.values()):,.0f} ms"
        found[f"31 days by two dimensions, {zone}: slowest"] = f"{1e3 * times[worst]:,.0f} ms"
    return found


def report(  # noqa: PLR0917 - what is asked
    opened: Database, since_us: int, until_us: int, by: tuple[str, ...], zone: str, limit: int | None = PAGE
) -> None:
    """Make a report, as the control plane does."""
    with opened.read() as connection:
        assert reports.usage_page(Archive(connection), since_us, until_us, by, zone, 0, limit)[0]["rows"]


def other_reading(opened: Database) -> Rows:
    """Measure what else reads."""
    year_us = history.END_US - 365 * DAY_US

    def search(where: dict[str, str]) -> None:
        with opened.read() as connection:
            Archive(connection).search_events(Search(where, 0, 2**60, None, 100))

    def one_call() -> None:
        with opened.read() as connection:
            archive = Archive(connection)
            [posted] = archive.search_events(Search({}, 0, history.END_US, None, 1))
            assert explain(archive, posted.event.event_id)

    def standing() -> None:
        with opened.read() as connection:
            assert status(Archive(connection), time.time_ns() // 1_000)["budgets"]

    with opened.read() as connection:
        rare = min(Archive(connection).rollups(Grain.DAY, SINCE_US, SINCE_US + DAY_US), key=lambda row: row.sums[0])
    owner = rare.attribution
    some = {"key": owner.key, "user": owner.user, "customer": owner.customer, "model": owner.model}
    runs: dict[str, Callable[[], None]] = {
        "31 days by hour and user, all rows": lambda: report(
            opened, SINCE_US, SINCE_US + MONTH_US, ("hour", "user"), "Asia/Kolkata", None
        ),
        "a year by month, Europe/Berlin": lambda: report(opened, year_us, history.END_US, ("month",), "Europe/Berlin"),
        "a year by week and model, UTC": lambda: report(opened, year_us, history.END_US, ("week", "model"), "UTC"),
        "the newest 100 events": lambda: search({}),
        "the newest 100 events of a team": lambda: search({"team": owner.team}),
        "the newest 100 events of one rare series": lambda: search(some),
        "the newest 100 events of nobody": lambda: search({"team": "nobody"}),
        "the newest 100 events of another source": lambda: search({"source": "files"}),
        "explain one call": one_call,
        "budget status": standing,
    }
    return {what: f"{1e3 * best(run):,.0f} ms" for what, run in runs.items()}


def in_child(url: str) -> tuple[float, float]:
    """Verify in a process of its own; return its seconds and the memory that it had at its peak."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "pertoken", "verify", "--db", url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        _, code, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(code)
    assert child.returncode == 0, child.returncode
    return time.perf_counter() - began, usage.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
