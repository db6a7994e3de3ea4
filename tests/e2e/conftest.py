"""A real gateway process in front of a real simulator process, and a fresh key for each test."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import STORES, MakeDatabase, put_prices, with_prices

from pertoken.core.events import Event
from pertoken.core.secrets import Hasher
from pertoken.services import budgets, keys, verify
from pertoken.services.explain import explain
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

START_S = 60
PATIENCE_S = 60  # for what must come true
HASTY = {"PERTOKEN_LIMITS__FIRST_BYTE_MS": "500", "PERTOKEN_LIMITS__IDLE_MS": "500"}  # for providers that stall
SECRET_KEY = "the secret key of these tests, which is long enough"
HASHER = Hasher(SECRET_KEY.encode())
SUMS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


# A story of formats and failures alone needs one store; what budgets, holds and settlements do is told on both.
one_store = pytest.mark.parametrize("_processes", ["sqlite"], indirect=True, scope="session")


@dataclass
class Process:
    """A process that says on stderr where it listens."""

    popen: subprocess.Popen[bytes]
    url: str
    log: Path

    def stop(self) -> None:
        """End it by its own id, kindly first."""
        self.popen.terminate()
        try:
            self.popen.wait(15)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(5)


def start(arguments: list[str], environ: dict[str, str], log: Path) -> Process:
    """Start a pertoken process on a free port and wait until it listens."""
    with log.open("wb") as sink:
        popen = subprocess.Popen([sys.executable, *arguments], stdout=sink, stderr=sink, env={**os.environ, **environ})
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        found = re.search(r"listening on (http://\S+)", log.read_text())
        if found:
            return Process(popen, found[1], log)
        if popen.poll() is not None:
            break
        time.sleep(0.02)
    popen.kill()
    pytest.fail(f"{arguments} did not start: {log.read_text()}")


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@dataclass
class Stack:
    """Gateway, simulator, database, and one key made for the test at hand."""

    gateway: Process
    simulator: Process
    database: Database
    key_id: str = ""
    secret: str = ""
    name: str = ""
    clock: SystemClock = field(default_factory=SystemClock)

    def new_key(self, name: str, **fields: Any) -> tuple[str, str]:
        """Make a key in the database, as the command line does; return its id and secret."""
        with self.database.write() as connection:
            made = keys.create_key(Administration(connection), self.clock, HASHER, name, **fields)
        return made.key.key_id, made.secret

    def set_budget(self, limit: str, **wish: Any) -> str:
        """Set a budget on the test's key; return its name."""
        name = f"{self.name}-{len(wish)}-{wish.get('axis', 'money')}-{wish.get('window', 'month')}"
        scope = wish.pop("scope", {"key": self.key_id})
        with self.database.write() as connection:
            budgets.set_budget(Administration(connection), self.clock, budgets.Wish(name, limit, scope=scope, **wish))
        return name

    def budget(self, name: str) -> dict[str, Any]:
        """Return how a budget stands now."""
        with self.database.read() as connection:
            rows = budgets.status(Archive(connection), self.clock.now_us())["budgets"]
        return next(row for row in rows if row["name"] == name)

    def events(self) -> list[Event]:
        """Return the events of the test's key."""
        with self.database.read() as connection:
            return [event for event in Archive(connection).events() if event.attribution.key == self.key_id]

    def open_holds(self) -> list[str]:
        """Return the open holds of the test's key."""
        with self.database.read() as connection:
            return [hold.hold_id for hold in Archive(connection).open_holds() if hold.attribution.key == self.key_id]

    def explain(self, call_id: str) -> dict[str, Any]:
        """Explain one call."""
        with self.database.read() as connection:
            explained = explain(Archive(connection), call_id)
        assert explained is not None, call_id
        return explained

    def differences(self) -> list[dict[str, Any]]:
        """Return what verification finds wrong."""
        with self.database.read() as connection:
            return verify.verify(Archive(connection), self.clock.now_us()).differences

    def served(self) -> dict[str, int]:
        """Return what the simulator served since the test began, summed: the provider's invoice."""
        ledger = self.fetch("/sim/ledger")
        sums = {name: sum(row[name] for row in ledger["by"]) for name in SUMS}
        return {"calls": ledger["calls"], **sums}

    def sim_calls(self) -> list[dict[str, Any]]:
        """Return what reached the simulator, the newest first."""
        calls = self.fetch("/sim/calls")
        return calls["calls"] if isinstance(calls, dict) else calls

    def fetch(self, path: str, method: str = "GET") -> Any:
        """Ask the simulator."""
        request = urllib.request.Request(self.simulator.url + path, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def settled(self, calls: int, within_s: float = PATIENCE_S) -> list[Event]:
        """Wait until the test's key has `calls` events and no open hold, then return the events."""
        deadline = time.monotonic() + within_s
        while True:
            events = self.events()
            if len(events) >= calls and not self.open_holds():
                assert len(events) == calls, events
                return events
            if time.monotonic() > deadline:
                pytest.fail(f"{len(events)} of {calls} events, open holds: {self.open_holds()}")
            time.sleep(0.02)

    def agrees(self, calls: int) -> None:
        """Assert that our ledger equals the simulator's own count, and that the books verify."""
        events = self.settled(calls)
        ours = {name: sum(event.quantities.get(name, 0) for event in events) for name in SUMS}

        assert {"calls": calls, **ours} == self.served()
        assert all(event.cost_picos > 0 for event in events)
        assert self.differences() == []

    def cost(self) -> Decimal:
        """Return what the test's key has cost, in dollars."""
        return Decimal(sum(event.cost_picos for event in self.events())).scaleb(-12)

    def log(self) -> str:
        """Return what the gateway has logged."""
        return self.gateway.log.read_text()


@pytest.fixture(scope="session", params=STORES)
def _processes(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_database: MakeDatabase,
    simulator: Process,
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    database_url = make_database(request.param, folder, with_prices)
    environ = gateway_environ(simulator.url, folder, PERTOKEN_DATABASE_URL=database_url)
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, folder / "gateway.log")
    database = Database(database_url)
    try:
        yield Stack(gateway, simulator, database)
    finally:
        gateway.stop()
        database.close()


@contextlib.contextmanager
def stack_of_its_own(folder: Path, simulator: Process, **more: str) -> Iterator[Stack]:
    """Yield a gateway with more in its environment, and one key."""
    environ = gateway_environ(simulator.url, folder, **more)
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, folder / "gateway.log")
    stack = Stack(gateway, simulator, Database(environ["PERTOKEN_DATABASE_URL"]))
    try:
        stack.fetch("/sim/reset", "POST")
        stack.key_id, stack.secret = stack.new_key("its own")
        yield stack
    finally:
        stack.gateway.stop()  # a test may have started another
        stack.database.close()


def gateway_environ(simulator_url: str, folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a gateway in front of the simulator; it waits longer than a busy machine takes.

    Its database is a file in the folder that has the shipped prices, unless `more` names another.
    """
    return {
        "PERTOKEN_DATABASE_URL": more.get("PERTOKEN_DATABASE_URL") or put_prices(folder),
        "PERTOKEN_PROVIDERS__OPENAI__BASE_URL": f"{simulator_url}/v1",
        "PERTOKEN_PROVIDERS__ANTHROPIC__BASE_URL": simulator_url,
        "PERTOKEN_PROVIDERS__GOOGLE__BASE_URL": simulator_url,
        "PERTOKEN_SECRET_KEY": SECRET_KEY,
        "OPENAI_API_KEY": "sk-provider-openai",
        "ANTHROPIC_API_KEY": "sk-provider-anthropic",
        "GEMINI_API_KEY": "provider-google",
        "PERTOKEN_LIMITS__FIRST_BYTE_MS": "60000",
        "PERTOKEN_LIMITS__IDLE_MS": "60000",
        "HTTP_PROXY": "",
        "HTTPS_PROXY": "",
        **more,
    }


@pytest.fixture
def stack(_processes: Stack, request: pytest.FixtureRequest) -> Stack:
    """Return the running stack with a fresh key, the simulator's count at zero."""
    _processes.fetch("/sim/reset", "POST")
    name = f"{request.node.name}-{time.time_ns()}"
    key_id, secret = _processes.new_key(name)
    return Stack(_processes.gateway, _processes.simulator, _processes.database, key_id, secret, name)
