"""Hours in small: mixed traffic on two workers, and nothing grows, nothing leaks, nothing is lost.

SOAK_SECONDS=60        how long the load lasts (`make soak` takes 900)
SOAK_CALLS=1000000     or until so many calls were made
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
from tests.conftest import MakeDatabase
from tests.e2e.conftest import HASHER, Process, gateway_environ, start
from tests.soak.flat import Flat, judge
from tests.soak.load import FAULTY, MODELS, Keys, Load, Tally
from tests.soak.watch import Sample, Watch, wait_for

from pertoken import wiring
from pertoken.services import budgets, keys
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.store.schema import holds

CALLS = int(os.environ.get("SOAK_CALLS") or 0)
SECONDS = float(os.environ.get("SOAK_SECONDS") or 60)
RATE = float(os.environ.get("SOAK_RATE", "250"))
SEED = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(10**6))
STORE = os.environ.get("SOAK_STORE") or "sqlite"
IS_LONG = bool(CALLS) or SECONDS >= 300

WORKERS = 2
PROVIDERS = {"OPENAI": "/v1", "ANTHROPIC": "", "GOOGLE": ""}
GROWTH_MB_MAX = 4.0  # of one worker, between the medians of the first and the last third: what noise has at most
FILES_MAX = 2  # SQLite opens one more now and then
CPU_SAMPLES = 4  # to a span of which the processor time is told
DEARER_FACTOR = 1.5  # a cost that grows with all that was ever done shows as 2.3, whatever else runs
SLOWER_FACTOR = 1.5 if IS_LONG else 3.0  # other tests run beside the short one
SLOWER_MS = 1.0
SETTLED_S = 30
KEPT_S = 65  # a provider's connection that nobody uses is kept for 55 s
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
        words = ["-m", "pertoken", "serve", "--port", "0", "--workers", str(WORKERS)]
        self.gateway = run("gateway", words, self.environ)
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
        clock = wiring.SystemClock()
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
        yield House(stack, tmp_path, make_database(STORE, tmp_path))


def test_a_soak(house: House) -> None:
    """Memory, latency, files and threads stay flat; at the end there is no hold, no connection and no difference."""
    every_s = 2.0 if CALLS else max(0.25, SECONDS / 600)
    load = Load(house.gateway.url, house.keys, SEED, RATE or None)
    tally = load.tally
    watch = Watch(house.worker_pids, house.provider_ports, lambda: (house.open_holds(), tally.calls), every_s)
    before = watch.look()
    began = time.monotonic()
    with watch.running():
        uvloop.run(soak(load))
    took_s = time.monotonic() - began
    left = wait_for(lambda: house.open_holds() == 0, SETTLED_S)
    quiet = wait_for(lambda: is_quiet(before, watch.look()), KEPT_S if IS_LONG else 5)
    after = watch.look()
    books, invoice = house.books(), house.invoice()
    verified = house.run("verify")
    flats = judged(watch, tally)
    print_table(flats, tally, took_s, before, after, verified.stdout.strip().splitlines()[-1])

    assert tally.unexpected == []
    assert left, f"{house.open_holds()} holds are left"
    check_books(tally, books, invoice)
    assert verified.returncode == 0, verified.stdout
    assert tally.calls >= (CALLS or SECONDS * 10), "too few calls to tell"
    assert [flat for flat in flats if not flat.holds] == []
    assert quiet, (before, after)
    log = house.gateway.log.read_text()
    assert [word for word in UNLIKELY if word in log] == []
    house.gateway.popen.terminate()
    assert house.gateway.popen.wait(30) == 0


async def soak(load: Load) -> None:
    """Run the load for its time, or until it has made its calls."""

    async def stop() -> None:
        deadline = time.monotonic() + SECONDS
        while (load.tally.calls < CALLS) if CALLS else (time.monotonic() < deadline):
            await asyncio.sleep(0.1)
        load.stopping = True

    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        group.create_task(stop())


def is_quiet(before: dict[str, Sample], now: dict[str, Sample]) -> bool:
    """Tell whether all connections are closed; those to providers are kept for a while, which the short run skips."""
    return all(
        now[name].sockets <= one.sockets
        and now[name].files <= one.files + FILES_MAX
        and (not IS_LONG or now[name].provider_sockets == 0)
        for name, one in before.items()
    )


def judged(watch: Watch, tally: Tally) -> list[Flat]:
    """Judge every series."""
    at_once = list(zip(*watch.samples.values(), strict=True))
    flats = [
        judge("open holds", [open_holds for open_holds, _ in watch.counts], more=10),
        judge("sockets", [sum(one.sockets + one.provider_sockets for one in workers) for workers in at_once], more=10),
        judge("CPU a call, us", cpu_us_a_call(watch), factor=DEARER_FACTOR),
    ]
    for name, samples in watch.samples.items():
        flats += [
            judge(f"{name}: memory, MB", [one.rss_mb for one in samples], more=GROWTH_MB_MAX),
            judge(f"{name}: other files", [one.files for one in samples], more=FILES_MAX),
            judge(f"{name}: threads", [one.threads for one in samples], more=2),
        ]
    windows = [sorted(window) for window in tally.windows[:-1] if window]
    for percent in (50, 90):
        times = [window[len(window) * percent // 100] for window in windows]
        flats.append(judge(f"chat completion: p{percent}, ms", times, factor=SLOWER_FACTOR, more=SLOWER_MS))
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


def print_table(
    flats: list[Flat], tally: Tally, took_s: float, before: dict[str, Sample], after: dict[str, Sample], verified: str
) -> None:
    """Print what was seen, for a person."""
    table = Table(title=f"{tally.calls:,} calls in {took_s:.0f} s, {STORE}, {WORKERS} workers, seed {SEED}")
    for heading in ("what", "first third", "last third", "trend", "may grow by", "flat"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for flat in flats:
        numbers = (f"{number:.1f}" for number in (flat.first, flat.last, flat.slope, flat.allowed))
        table.add_row(flat.name, *numbers, "yes" if flat.holds else "NO")
    console = Console(width=110)
    console.print()
    console.print(table)
    told = {"acknowledged": tally.acknowledged.total(), "hung up": tally.hung_up.total(), **tally.told}
    console.print(f"clients were told: {dict(sorted(told.items()))}")
    for name, one in before.items():
        console.print(f"{name}: before {one}, after {after[name]}")
    console.print(f"verify: {verified}")
