"""Gateways started otherwise than by default: several workers on one database, and calls that wait for room."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.e2e.conftest import PATIENCE_S, Process, gateway_environ, is_running, start

from pertoken.services.verify import verify
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

WORKERS = 3
HELLO: list[Any] = [{"role": "user", "content": "say hello in five languages"}]


@pytest.fixture
def environ(tmp_path: Path, simulator: Process) -> dict[str, str]:
    """Return the environment of a gateway in front of the simulator."""
    return gateway_environ(simulator.url, tmp_path)


def pertoken(environ: dict[str, str], *words: str) -> str:
    """Run a command."""
    command = [sys.executable, "-m", "pertoken", *words]
    return subprocess.run(command, env={**os.environ, **environ}, check=True, capture_output=True, text=True).stdout


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started and that live."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_budget_holds_over_all_workers(environ: dict[str, str], tmp_path: Path) -> None:
    """Of forty concurrent calls as many are served as the limit allows, whoever serves them.

    A killed worker is replaced, the books stay clean, and a terminated parent ends them all.
    """
    secret = re.search(r"sk-pt-\w+", pertoken(environ, "key", "create", "app", "--json"))
    assert secret is not None
    pertoken(environ, "budget", "set", "few", "--limit", "25", "--axis", "requests", "--window", "total")
    gateway = start(["-m", "pertoken", "serve", "--port", "0", "--workers", str(WORKERS)], environ, tmp_path / "log")
    try:
        before = children(gateway.popen.pid)
        assert len(before) == WORKERS

        def call(_number: int) -> bool:
            client = OpenAI(base_url=f"{gateway.url}/v1", api_key=secret[0], max_retries=0)
            try:
                client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, max_tokens=20)
            except openai.RateLimitError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            served = list(pool.map(call, range(40)))
        assert sum(served) == 25

        os.kill(before[0], signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while len(children(gateway.popen.pid)) < WORKERS or before[0] in children(gateway.popen.pid):
            assert time.monotonic() < deadline, "the worker was not replaced"
            time.sleep(0.05)
        pertoken(environ, "budget", "set", "few", "--limit", "35", "--axis", "requests", "--window", "total")
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(call, range(20))) == 10
    finally:
        gateway.stop()
    assert all(not Path(f"/proc/{pid}").exists() for pid in before)
    database = Database(environ["PERTOKEN_DATABASE_URL"])
    with database.read() as connection:
        assert verify(Archive(connection), SystemClock().now_us()).differences == []
    database.close()


def test_workers_end_with_their_parent(environ: dict[str, str], tmp_path: Path) -> None:
    """The parent is killed: its workers settle what runs and end, so that the port is free for the next gateway."""
    secret = re.search(r"sk-pt-\w+", pertoken(environ, "key", "create", "app", "--json"))
    assert secret is not None
    gateway = start(["-m", "pertoken", "serve", "--port", "0", "--workers", str(WORKERS)], environ, tmp_path / "log")
    workers = children(gateway.popen.pid)
    try:
        client = OpenAI(base_url=f"{gateway.url}/v1", api_key=secret[0], max_retries=0)
        headers = {"x-sim-output-tokens": "20", "x-sim-chunk-ms": "20"}
        stream = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True, extra_headers=headers)
        next(iter(stream))
        gateway.popen.kill()
        gateway.popen.wait(10)
        assert list(stream)[-1].choices[0].finish_reason == "stop"
        deadline = time.monotonic() + PATIENCE_S
        while any(is_running(pid) for pid in workers):
            assert time.monotonic() < deadline, "the workers go on without their parent"
            time.sleep(0.05)
    finally:
        for pid in workers:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        gateway.stop()
    port = gateway.url.rpartition(":")[2]
    again = start(["-m", "pertoken", "serve", "--port", port, "--workers", "2"], environ, tmp_path / "again")
    again.stop()


def test_a_call_waits_for_room_where_it_may(environ: dict[str, str], tmp_path: Path) -> None:
    """With one call at a time allowed and a minute to wait, four at once are all served, one after the other."""
    secret = re.search(r"sk-pt-\w+", pertoken(environ, "key", "create", "app", "--json"))
    assert secret is not None
    pertoken(environ, "budget", "set", "one", "--limit", "1", "--axis", "concurrent", "--window", "total")
    environ["PERTOKEN_LIMITS__QUEUE_MS"] = "60000"
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, tmp_path / "log")
    try:
        client = OpenAI(base_url=f"{gateway.url}/v1", api_key=secret[0], max_retries=0)

        def call(_number: int) -> str:
            headers = {"x-sim-latency-ms": "150"}
            made = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, extra_headers=headers)
            return made.id

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(call, range(4)))
    finally:
        gateway.stop()
