"""Hours in small: mixed traffic on two workers, and nothing grows, nothing leaks, nothing is lost.

What is judged is counted: objects, bytes, files, sockets, tasks, holds, and the steps of calls that are alike, before
and after the load. Times are printed for a person.

SOAK_CALLS=1200        how many calls the load makes
SOAK_SECONDS=900       or how long it lasts (`make soak`); then memory must stay flat as well
SOAK_RATE=250          calls a second at most; 0: as many as the machine makes
SOAK_SEED=7            what the clients throw their dice with
SOAK_STORE=postgresql  the other store
"""

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
import uvloop
from rich.console import Console
from rich.table import Table
from tests.conftest import MakeDatabase, with_prices
from tests.e2e.conftest import HASHER, Process, gateway_environ, start
from tests.soak import gateway
from tests.soak.counts import Counter as Workers
from tests.soak.counts import Counts, grown
from tests.soak.flat import Flat, judge
from tests.soak.load import FAULTY, FEW, MANY, MODELS, Keys, Load, Tally
from tests.soak.watch import Sample, Watch, wait_for

from pertoken.services import budgets, keys
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.store.schema import holds
from pertoken.wiring.clock import SystemClock

SECONDS = float(os.environ.get("SOAK_SECONDS") or 0)
CALLS = int(os.environ.get("SOAK_CALLS") or (0 if SECONDS else 1_200))
RATE = float(os.environ.get("SOAK_RATE") or 250)
SEED = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
STORE = os.environ.get("SOAK_STORE") or "sqlite"
IS_LONG = CALLS >= 100_000 or SECONDS >= 300
WARM_UP_CALLS = 800  # that fill what is remembered: tokenizers, heads, prices, customers
ALIKE_CALLS = 60  # whose steps are counted

WORKERS = 2
PROVIDERS = {"OPENAI": "/v1", "ANTHROPIC": "", "GOOGLE": ""}
GROWTH_MB_MAX = 4.0  # of one worker, between the medians of the first and the last third: what noise has at most
FILES_MAX = 5  # SQLite opens one more now and then, and the process that reads heavy bodies has a socket of its own
READERS = 2  # processes of a worker that read and count; it has a socket to each that was needed once
THREADS_MAX = 6  # of pools, which keep what they once needed
CPU_SAMPLES = 4  # to a span of which the processor time is told
SETTLED_S = 60
TOKENS = ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens")
UNLIKELY = ("Traceback", "mistake", "starting another", "not yet", "expired")  # in the log of a gateway that is well


class House:
    """Two workers, a provider for each wire format, a database, and keys with budgets on everything."""

    def __init__(self, stack: ExitStack, folder: Path, url: str) -> None:
        def run(name: str, arguments: list[str], environ: dict[str, str]) -> Process:
            process = start(arguments, environ, folder / f"{name}.log")
            stack.callback(process.stop)
            return process

        self.providers = {
            name: run(f"provider-{name}", ["-m", "pertoken", "simulate", "--port", "0"], {}) for name in PROVIDERS
        }
        bases = {
            f"PERTOKEN_PROVIDERS__{name}__BASE_URL": self.providers[name].url + path for name, path in PROVIDERS.items()
        }
        limits = {f"PERTOKEN_LIMITS__{name}_MS": "20000" for name in ("FIRST_BYTE", "IDLE", "TOTAL")}
        self.environ = gateway_environ("", folder, **bases, **limits, PERTOKEN_DATABASE_URL=url)
        self.counter = Workers(folder / "looks", WORKERS)
        words = [gateway.__file__, "serve", "--port", "0", "--workers", str(WORKERS)]
        self.gateway = run("gateway", words, {**self.environ, gateway.VARIABLE: str(self.counter.folder)})
        self.database = Database(url)
        stack.callback(self.database.close)
        self.keys = Keys(self._key("open", "1000000"), self._key("narrow", "0.000001"))

    @property
    def worker_pids(self) -> dict[str, int]:
        """Return the workers, by name."""
        pid = self.gateway.popen.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert len(children) == WORKERS, self.gateway.log.read_text()
        return {f"worker {number}": int(child) for number, child in enumerate(sorted(children), start=1)}

    @property
    def provider_ports(self) -> frozenset[int]:
        """Return where the providers listen."""
        return frozenset(urlsplit(process.url).port or 0 for process in self.providers.values())

    def open_holds(self) -> int:
        """Return how many holds are open."""
        with self.database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(holds)).scalar() or 0)

    def invoice(self) -> dict[str, Counter[str]]:
        """Return what the providers counted themselves: calls and tokens, by model."""
        found: dict[str, Counter[str]] = {}
        for process in self.providers.values():
            with urllib.request.urlopen(process.url + "/sim/ledger", timeout=10) as answer:
                for row in json.load(answer)["by"]:
                    found.setdefault(row["model"], Counter()).update({name: row[name] for name in ("calls", *TOKENS)})
        return found

    def books(self) -> dict[str, Counter[str]]:
        """Return the same from our events."""
        found: dict[str, Counter[str]] = {}
        with self.database.read() as connection:
            for event in Archive(connection).events():
                row = found.setdefault(event.attribution.model, Counter())
                row["calls"] += 1
                row.update({name: event.quantities.get(name, 0) for name in TOKENS})
        return found

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the database."""
        command = [sys.executable, "-m", "pertoken", *words]
        return subprocess.run(command, env={**os.environ, **self.environ}, capture_output=True, text=True, check=False)

    def _key(self, name: str, limit: str) -> str:
        """Make a key, with a limit on it and on each of its customers."""
        clock = SystemClock()
        with self.database.write() as connection:
            administration = Administration(connection)
            made = keys.create_key(administration, clock, HASHER, name, team="soak")
            scope = {"key": made.key.key_id}
            for wish in (
                budgets.Wish(name, limit, scope=scope, window="month"),
                budgets.Wish(f"{name}, each", limit, scope=scope, each="customer", window="day"),
                budgets.Wish(f"{name}, requests", "1000000", axis="requests", scope=scope, window="minute"),
                budgets.Wish(f"{name}, at once", "1000", axis="concurrent", scope=scope, window="total"),
            ):
                budgets.set_budget(administration, clock, wish)
        return made.secret


@pytest.fixture
def house(tmp_path: Path, make_database: MakeDatabase) -> Iterator[House]:
    """Return a house that nobody has used."""
    with ExitStack() as stack:
        yield House(stack, tmp_path, make_database(STORE, tmp_path, with_prices))


def test_a_soak(house: House) -> None:
    """Nothing grows with the calls made; at the end there is no hold, no connection and no difference."""
    load = Load(house.gateway.url, house.keys, SEED, (RATE or None) if IS_LONG else None, MANY if IS_LONG else FEW)
    tally = load.tally
    every_s = 2.0 if CALLS else max(0.25, SECONDS / 600)
    watch = Watch(house.worker_pids, house.provider_ports, lambda: (house.open_holds(), tally.calls), every_s)
    before = watch.look()
    uvloop.run(soak(load, "warm up", calls=WARM_UP_CALLS))
    began, first, calls = time.monotonic(), counted(house, load, watch, before), tally.calls
    with watch.running():
        uvloop.run(soak(load, "load", calls=CALLS, seconds=SECONDS))
    took_s = time.monotonic() - began
    last = counted(house, load, watch, before)
    after = watch.look()
    books, invoice = house.books(), house.invoice()
    verified = house.run("verify")
    print_report(watch, tally, f"{took_s:.0f} s", (first, last), verified.stdout.strip().splitlines()[-1])

    assert tally.unexpected == []
    check_books(tally, books, invoice)
    assert verified.returncode == 0, verified.stdout
    assert grown(first, last, tally.calls - calls) == []
    assert [name for name, one in before.items() if after[name].threads > one.threads + THREADS_MAX] == []
    if IS_LONG:
        assert [flat for flat in judged(watch) if not flat.holds] == []
    log = house.gateway.log.read_text()
    assert [word for word in UNLIKELY if word in log] == []
    house.gateway.popen.terminate()
    assert house.gateway.popen.wait(SETTLED_S) == 0


async def soak(load: Load, name: str, *, calls: int = 0, seconds: float = 0) -> None:
    """Run the load until it has made so many calls, or for its time."""

    async def stop() -> None:
        until_calls = load.tally.calls + calls
        deadline = time.monotonic() + seconds
        while (load.tally.calls < until_calls) if calls else (time.monotonic() < deadline):
            await asyncio.sleep(0.02)
        load.stopping = True

    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(name))
        group.create_task(stop())


def counted(house: House, load: Load, watch: Watch, before: dict[str, Sample]) -> Counts:
    """Wait until nothing runs, count the steps of calls that are alike, and return what the workers have then."""
    assert wait_for(lambda: house.open_holds() == 0, SETTLED_S), f"{house.open_holds()} holds are left"
    house.counter.count_steps(True)
    steps = house.counter.look()
    uvloop.run(load.alike(ALIKE_CALLS))
    house.counter.count_steps(False)
    assert wait_for(lambda: is_quiet(before, watch.look()), SETTLED_S), f"{before} {watch.look()}"
    counts = house.counter.look()
    return counts._replace(functions=counts.functions - steps.functions, database=counts.database - steps.database)


def is_quiet(before: dict[str, Sample], now: dict[str, Sample]) -> bool:
    """Tell whether all connections are closed, those to providers as well, and all files but SQLite's own."""
    return all(
        now[name].sockets <= one.sockets + READERS
        and now[name].files <= one.files + FILES_MAX
        and now[name].provider_sockets == 0
        for name, one in before.items()
    )


def judged(watch: Watch) -> list[Flat]:
    """Judge every series that is a count."""
    at_once = list(zip(*watch.samples.values(), strict=True))
    flats = [
        judge("open holds", [open_holds for open_holds, _ in watch.counts], more=10),
        judge("sockets", [sum(one.sockets + one.provider_sockets for one in workers) for workers in at_once], more=10),
    ]
    for name, samples in watch.samples.items():
        flats += [
            judge(f"{name}: memory, MB", [one.rss_mb for one in samples], more=GROWTH_MB_MAX),
            judge(f"{name}: other files", [one.files for one in samples], more=FILES_MAX),
            judge(f"{name}: threads", [one.threads for one in samples], more=THREADS_MAX),
        ]
    return flats


def told(watch: Watch, tally: Tally) -> list[Flat]:
    """Return the series that are times: they are printed, and decide nothing."""
    flats = [judge("CPU a call, us (not judged)", cpu_us_a_call(watch))]
    windows = [sorted(window) for window in tally.windows[:-1] if window]
    for percent in (50, 90):
        times = [window[len(window) * percent // 100] for window in windows]
        flats.append(judge(f"chat completion: p{percent}, ms (not judged)", times))
    return flats


def cpu_us_a_call(watch: Watch) -> list[float]:
    """Return the processor time of all workers by the calls made meanwhile, for spans of some samples."""
    spent_ms = [sum(one.cpu_ms for one in workers) for workers in zip(*watch.samples.values(), strict=True)]
    points = list(zip(spent_ms, (calls for _, calls in watch.counts), strict=True))[::CPU_SAMPLES]
    return [
        (ms - ms_0) * 1_000 / max(1, calls - calls_0) for (ms_0, calls_0), (ms, calls) in itertools.pairwise(points)
    ]


def check_books(tally: Tally, books: dict[str, Counter[str]], invoice: dict[str, Counter[str]]) -> None:
    """Assert that our books are the providers' own count, and that every call that a client saw is in them, once."""
    for model in MODELS.values():
        assert books[model] == invoice[model], model
        assert books[model]["calls"] == tally.acknowledged[model] + tally.hung_up[model], model
        assert books[model]["output_tokens"] > 0 or "embedding" in model
    assert books[FAULTY]["calls"] == invoice[FAULTY]["calls"]  # the tokens of these are counted here, not told


def print_report(watch: Watch, tally: Tally, took: str, looks: tuple[Counts, Counts], verified: str) -> None:
    """Print what was seen, for a person."""
    console = Console(width=110)
    console.print()
    if IS_LONG:
        table = Table(title=f"{tally.calls:,} calls in {took}, {STORE}, {WORKERS} workers, seed {SEED}")
        for heading in ("what", "first third", "last third", "trend", "may grow by"):
            table.add_column(heading, justify="left" if heading == "what" else "right")
        for flat in (*judged(watch), *told(watch, tally)):
            table.add_row(flat.name, *(f"{one:.1f}" for one in (flat.first, flat.last, flat.slope, flat.allowed)))
        console.print(table)
    counts = {"acknowledged": tally.acknowledged.total(), "hung up": tally.hung_up.total(), **tally.told}
    console.print(f"seed {SEED}, clients were told: {dict(sorted(counts.items()))}")
    console.print(f"before the load: {looks[0]}")
    console.print(f"after the load: {looks[1]}")
    console.print(f"verify: {verified}")
