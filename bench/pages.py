"""How fast the pages are on a large store: `python bench/pages.py [--events N] [--keep FOLDER] [--zone ZONE]`.

Makes a store of 60 days that end today, of 6,000 series (`bench/history.py`; ten million events take about six minutes
and 9 GB), and asks each page of `web/`, in this process, as an admin and as a team owner: once with roll-ups alone, and
once with the days summed coarsely. Beside these is what SQLite needs to count the rows of the day roll-ups. Then a
gateway serves calls at a fixed rate on the same store, without dashboards and with ten that refresh.

With `--keep FOLDER` the store stays there and is used again.
"""

import argparse
import asyncio
import contextlib
import gzip
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import history
import httpx2 as httpx
import sqlalchemy as sa
from call import Target, message
from load import Kept, opened, run
from rich.console import Console
from rich.table import Table

from pertoken.core.access import Role
from pertoken.core.periods import DAY_US
from pertoken.gateway import collector
from pertoken.ports.events import Search
from pertoken.services.admins import create_admin
from pertoken.services.budgets import Wish, set_budget
from pertoken.settings import Settings
from pertoken.store.administration import Administration
from pertoken.store.admins import AdminKeys
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.store.schema import coarse_sums, day_rollups, rollups, summed_days
from pertoken.store.summing import sum_newest
from pertoken.web.app import create_pages
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.database import open_database
from pertoken.wiring.pages import make_site

ROOT_KEY = "sk-pt-admin-" + "b" * 32
SECRET_KEY = "5e" * 32
PEER = {"x-pertoken-peer": "127.0.0.1", "x-pertoken-scheme": "http", "accept": "text/html", "accept-encoding": "gzip"}
ROUNDS = 3
TEAM = "team-1"
RATES = (2_000, 1_000, 500)
DASHBOARDS = 10
REFRESH_S = 5
ENOUGH = 0.97
PORTS = (18_741, 18_742)


class Asked(NamedTuple):
    """What a page took: the median of some rounds, and its bytes as sent."""

    wall_ms: float
    cpu_ms: float
    sent_bytes: int
    status: int


def main() -> None:
    """Make, measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--series", type=int, default=6_000, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--zone", default="UTC")
    parser.add_argument("--seconds", type=float, default=8, help="of each round with calls; 0: none")
    parser.add_argument("--without-fine", action="store_true", help="do not measure without coarse sums")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = chosen.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = store(folder, chosen.events, chosen.series)
        settings = Settings(database_url=url, admin_key=ROOT_KEY, secret_key=SECRET_KEY, timezone=chosen.zone)
        with open_database(settings) as installation:
            database = installation.database
            prepare(database)
            title = f"{chosen.events:,} events, {chosen.series:,} series, {chosen.zone}, {os.cpu_count()} cores"
            title += f", {platform.machine()}, Python {platform.python_version()}"
            show_pages(installation, title, without_fine=chosen.without_fine)
        if chosen.seconds:
            show_calls(url, chosen.seconds)


def store(folder: Path, events: int, series: int) -> str:
    """Return the address of a store of so many events, made if it is not there."""
    path = folder / f"pages-{events}-{series}.db"
    url = f"sqlite:///{path}"
    if not path.exists():
        began = time.perf_counter()
        end_us = (time.time_ns() // 1_000) // DAY_US * DAY_US + DAY_US
        shape = history.Shape(end_us, 60, series, 300, 12, 480, 600, 20, is_split=True)
        history.make(url, events, shape=shape)
        print(f"made {events:,} events in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return url


def prepare(database: Database) -> None:
    """Set budgets that nothing exceeds, once."""
    with database.write() as connection:
        administration = Administration(connection)
        if not administration.budgets():
            for number, each in enumerate((None, "team", "customer")):
                set_budget(administration, SystemClock(), Wish(f"b{number}", "1000000000", window="month", each=each))


def show_pages(installation: Any, title: str, *, without_fine: bool) -> None:
    """Print what each page takes, with and without coarse sums."""
    database = installation.database
    site = make_site(installation)
    app = create_pages(site)
    collector.calm()
    columns = {}
    if not without_fine:
        forget(database)
        columns["roll-ups alone"] = asyncio.run(ask_all(app, site, database))
    began = time.process_time(), time.perf_counter()
    days = 0
    while sum_newest(database, end_us(database)):
        days += 1
    took = f"{time.process_time() - began[0]:.1f} s of CPU, {time.perf_counter() - began[1]:.1f} s"
    columns["days summed"] = asyncio.run(ask_all(app, site, database))
    table = Table(title=title, caption=f"{days} days summed in {took}; {sizes(database)}")
    table.add_column("page")
    for heading in columns:
        table.add_column(f"{heading}: time", justify="right")
        table.add_column("CPU", justify="right")
    table.add_column("first load", justify="right")
    static = static_bytes()
    for page in columns["days summed"]:
        cells = []
        for asked in columns.values():
            cells += [f"{asked[page].wall_ms:,.0f} ms", f"{asked[page].cpu_ms:,.0f} ms"]
        last = columns["days summed"][page]
        size = last.sent_bytes + static
        table.add_row(page, *cells, f"{size / 1e3:,.0f} KB" if last.sent_bytes else "-")
        if last.status != 200:
            print(f"{page} answered {last.status}", file=sys.stderr)
    Console(width=130).print(table)


def forget(database: Database) -> None:
    """Remove all coarse sums."""
    with database.write() as connection:
        for table in (summed_days, coarse_sums):
            connection.execute(sa.delete(table))


def end_us(database: Database) -> int:
    """Return when the newest day ends: its calls are there already, so it is summed as if it were over."""
    with database.read() as connection:
        newest_us: int = connection.execute(sa.select(sa.func.max(day_rollups.c.start_us))).scalar_one()
    return newest_us + DAY_US


def sizes(database: Database) -> str:
    """Return how many rows there are of each grain."""
    with database.read() as connection:
        counts = {
            one.name: connection.execute(sa.select(sa.func.count()).select_from(one)).scalar_one()
            for one in (rollups, day_rollups, coarse_sums)
        }
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def static_bytes() -> int:
    """Return the bytes of scripts and styles as they are sent, compressed, on the first load."""
    names = [one for one in (files("pertoken.web") / "static").iterdir() if one.name.endswith((".css", ".js", ".svg"))]
    return sum(len(gzip.compress(one.read_bytes())) for one in names)


def paths(database: Database) -> dict[str, str]:
    """Return the pages by what they are called here: each of the table of pages, some with a range or a question."""
    with database.read() as connection:
        [newest] = Archive(connection).search_events(Search({}, 0, 2**60, None, 1))
    who = newest.event.attribution
    month, all_days = "?range=30d", "?range=90d"
    return {
        "Overview, 30 days": f"/{month}",
        "Overview, 60 days": f"/{all_days}",
        "Explore, by model": f"/explore{all_days}&by=model",
        "Explore, by key": f"/explore{all_days}&by=key",
        "Explore, by user": f"/explore{all_days}&by=user",
        "Explore, by tag": f"/explore{all_days}&by=tag:feature",
        "Explore, by key and model": f"/explore{all_days}&by=key&then=model",
        "Explore, one customer by model": f"/explore{all_days}&by=model&customer={who.customer}",
        "Calls": "/calls",
        "Calls of a key": f"/calls?key={who.key}",
        "One call": f"/calls/{newest.event.event_id}",
        "Providers": f"/providers{all_days}",
        "Budgets": "/budgets",
        "New budget": "/budgets/new",
        "One budget": "/budgets/b0",
        "Prices": f"/prices{all_days}",
        "One price": f"/prices/{who.provider}/{who.model}{all_days}",
        "Customers": f"/customers{all_days}",
        "One customer": f"/customers/{who.customer}{all_days}",
        "Keys": f"/keys{all_days}",
        "Teams": f"/teams{all_days}",
        "One team": f"/teams/{who.team}{all_days}",
        "Playground": "/playground",
        "Audit": "/audit",
        "Admins": "/admins",
        "Health": "/health",
        "Find": "/find?q=customer",
    }


async def ask_all(app: Any, site: Any, database: Database) -> dict[str, Asked]:
    """Ask each page as an admin, and the pages of a team as its owner."""
    with database.write() as connection:
        name = f"bench-{time.time_ns()}"
        made = create_admin(AdminKeys(connection), site.clock, site.hasher, name, Role.TEAM_OWNER, team=TEAM)
    found: dict[str, Asked] = {"count the day roll-ups": count_rows(database)}
    transport = httpx.ASGITransport(app)
    for key, who in ((ROOT_KEY, ""), (made.secret, "team owner: ")):
        async with httpx.AsyncClient(transport=transport, base_url="http://bench", headers=PEER) as client:
            signed = await client.post("/login", data={"key": key})
            assert signed.status_code == 303, signed.text
            some = (
                paths(database)
                if not who
                else {
                    "Overview, 60 days": "/?range=90d",
                    "Keys": "/keys?range=90d",
                    "Explore, by user": "/explore?range=90d&by=user",
                }
            )
            for what, path in some.items():
                found[f"{who}{what}"] = await ask(client, path)
    return found


async def ask(client: httpx.AsyncClient, path: str) -> Asked:
    """Ask a page some times, after once that does not count."""
    walls, cpus = [], []
    size = status = 0
    for _ in range(ROUNDS + 1):
        began = time.perf_counter(), time.process_time()
        async with client.stream("GET", path) as answer:
            size = sum([len(piece) async for piece in answer.aiter_raw()])
        walls.append((time.perf_counter() - began[0]) * 1e3)
        cpus.append((time.process_time() - began[1]) * 1e3)
        status = answer.status_code
    return Asked(statistics.median(walls[1:]), statistics.median(cpus[1:]), size, status)


def count_rows(database: Database) -> Asked:
    """Return what a bare count of the day roll-ups takes."""
    walls, cpus = [], []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter(), time.process_time()
        with database.read() as connection:
            connection.exec_driver_sql("SELECT count(*), sum(calls), sum(cost_picos_low) FROM day_rollups").all()
        walls.append((time.perf_counter() - began[0]) * 1e3)
        cpus.append((time.process_time() - began[1]) * 1e3)
    return Asked(statistics.median(walls[1:]), statistics.median(cpus[1:]), 0, 200)


def show_calls(url: str, seconds: float) -> None:
    """Print how long calls take at fixed rates, with and without dashboards."""
    table = Table(title=f"calls; {DASHBOARDS} dashboards, each refreshing every {REFRESH_S} s")
    for heading in ("calls a second", "dashboards", "p50", "p95", "p99", "p99.9", "failed", "in time", "pages"):
        table.add_column(heading, justify="right")
    with serving(url) as target:
        for rate in RATES:
            rounds = [
                (run(opened(target.address, message(target), rate, seconds)), *run(beside(target, rate, seconds)))
                for _ in range(ROUNDS)
            ]
            alone = min((one for one, _, _ in rounds), key=p99)
            watched, pages = min(((one, told) for _, one, told in rounds), key=lambda one: p99(one[0]))
            for what, kept, told in (("none", alone, "-"), (str(DASHBOARDS), watched, pages)):
                cuts = statistics.quantiles(kept.latencies_s, n=1_000)
                times = [f"{1e3 * cuts[at]:.2f} ms" for at in (499, 949, 989, 998)]
                in_time = f"{kept.in_time / kept.due:.1%}"
                table.add_row(f"{rate:,}", what, *times, f"{kept.failed:,}", in_time, told)
            if watched.in_time >= watched.due * ENOUGH:
                break
    table.caption = f"the best of {ROUNDS} rounds each, in turns; load average {os.getloadavg()[0]:.1f}"
    Console(width=130).print(table)


def p99(kept: Kept) -> float:
    """Return what 99 of a hundred calls did not exceed."""
    return statistics.quantiles(kept.latencies_s, n=100)[98]


async def beside(target: Target, rate: int, seconds: float) -> tuple[Kept, str]:
    """Ask calls at a rate while dashboards refresh."""
    times: list[float] = []
    cookies = sign_in(target)
    dashboards = [asyncio.create_task(refresh(target, cookies, number, times)) for number in range(DASHBOARDS)]
    await asyncio.sleep(REFRESH_S)
    times.clear()
    kept = await opened(target.address, message(target), rate, seconds)
    for one in dashboards:
        one.cancel()
    await asyncio.gather(*dashboards, return_exceptions=True)
    return kept, f"{len(times)}, median {1e3 * statistics.median(times):,.0f} ms" if times else "none in time"


def sign_in(target: Target) -> str:
    """Return the cookie of a session."""
    parts = urlsplit(target.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    head = {"content-type": "application/x-www-form-urlencoded", "origin": target.url}
    connection.request("POST", "/login", f"key={ROOT_KEY}", head)
    answer = connection.getresponse()
    assert answer.status == 303, (answer.status, answer.read())
    return (answer.getheader("set-cookie") or "").partition(";")[0]


async def refresh(target: Target, cookie: str, number: int, times: list[float]) -> None:
    """Open the overview again and again."""
    await asyncio.sleep(number * REFRESH_S / DASHBOARDS)
    host, port = target.address
    fields = {"host": f"{host}:{port}", "cookie": cookie, "accept": "text/html", "connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"GET /?range=30d HTTP/1.1\r\n{head}\r\n"
    while True:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request.encode())
        answer = await reader.read(-1)
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
        times.append(time.perf_counter() - began)
        await asyncio.sleep(max(0.0, REFRESH_S - (time.perf_counter() - began)))


@contextlib.contextmanager
def serving(url: str) -> Iterator[Target]:
    """Yield a gateway on the store, with a provider beside it."""
    provider_port, port = PORTS
    environ = {
        **os.environ,
        "PERTOKEN_DATABASE_URL": url,
        "PERTOKEN_ADMIN_KEY": ROOT_KEY,
        "PERTOKEN_SECRET_KEY": SECRET_KEY,
        "PERTOKEN_PROVIDERS__OPENAI__BASE_URL": f"http://127.0.0.1:{provider_port}/v1",
        "OPENAI_API_KEY": "bench",
    }
    program = [sys.executable, "-m", "pertoken"]
    create = [*program, "key", "create", f"bench-{time.time_ns()}", "--json"]
    made = json.loads(subprocess.run(create, env=environ, check=True, capture_output=True).stdout)
    provider = subprocess.Popen([sys.executable, str(Path(__file__).parent / "provider.py"), str(provider_port)])
    serve = [*program, "serve", "--port", str(port)]
    gateway = subprocess.Popen(serve, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        target = Target(f"http://127.0.0.1:{port}", {"authorization": f"Bearer {made['secret']}"})
        wait(target)
        yield target
    finally:
        for one in (gateway, provider):
            one.terminate()
            one.wait()


def wait(target: Target) -> None:
    """Wait until calls are answered."""
    for _ in range(200):
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection(*target.address, timeout=10)
            head, _, body = message(target).partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
            connection.request("POST", "/v1/chat/completions", body, fields)
            answer = connection.getresponse()
            if answer.status == 200:
                return
            print(answer.status, answer.read()[:500], file=sys.stderr)
        time.sleep(0.2)
    raise TimeoutError("the gateway does not answer")


if __name__ == "__main__":
    main()
