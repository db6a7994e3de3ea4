"""The database that cannot be written: calls are refused, what was served is kept and paid, nothing is half done."""

import json
import resource
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.e2e.conftest import Process, Stack, gateway_environ, start
from tests.factories import hold, own, settle
from tests.postgresql import restart, running, stop

from pertoken.store.database import Database
from pertoken.store.owed import Owed, read_all

MODEL = "gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "say hello in five languages"}]
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def lonely(tmp_path: Path, simulator: Process) -> Iterator[Stack]:
    """Return a stack of its own, whose disk the test may fill."""
    environ = gateway_environ(simulator.url, tmp_path)
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, tmp_path / "gateway.log")
    stack = Stack(gateway, simulator, Database(environ["PERTOKEN_DATABASE_URL"]))
    stack.key_id, stack.secret = stack.new_key("lonely")
    stack.fetch("/sim/reset", "POST")
    try:
        yield stack
    finally:
        if gateway.popen.poll() is None:
            resource.prlimit(gateway.popen.pid, resource.RLIMIT_FSIZE, NO_LIMIT)
        gateway.stop()
        stack.database.close()


def test_a_full_disk(lonely: Stack) -> None:
    """503 while nothing can be written; the call that ran meanwhile is settled once there is room again."""
    sdk = OpenAI(base_url=f"{lonely.gateway.url}/v1", api_key=lonely.secret, max_retries=0)
    sdk.chat.completions.create(model=MODEL, messages=HELLO)
    stream = sdk.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, extra_headers={"x-sim-output-tokens": "20", "x-sim-chunk-ms": "20"}
    )
    next(iter(stream))
    resource.prlimit(lonely.gateway.popen.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    with pytest.raises(openai.APIError, match="cost could not be recorded yet"):
        list(stream)
    with pytest.raises(openai.InternalServerError) as refused:
        sdk.chat.completions.create(model=MODEL, messages=HELLO)
    assert refused.value.status_code == 503
    assert refused.value.code == "store_unavailable"
    with pytest.raises(urllib.error.HTTPError) as not_ready:
        urllib.request.urlopen(f"{lonely.gateway.url}/health/ready", timeout=5)
    assert json.load(not_ready.value)["status"] == "not ready"

    resource.prlimit(lonely.gateway.popen.pid, resource.RLIMIT_FSIZE, NO_LIMIT)
    lonely.agrees(2)
    sdk.chat.completions.create(model=MODEL, messages=HELLO)
    lonely.agrees(3)


def test_a_database_that_is_moved(lonely: Stack, tmp_path: Path) -> None:
    """503 while the file is elsewhere, and its place is named; nothing acknowledged is missing once it is back."""
    sdk = OpenAI(base_url=f"{lonely.gateway.url}/v1", api_key=lonely.secret, max_retries=0)
    sdk.chat.completions.create(model=MODEL, messages=HELLO)
    lonely.settled(1)
    files = [path for path in tmp_path.glob("pertoken.db*") if path.is_file()]
    (tmp_path / "elsewhere").mkdir()
    for path in files:
        path.rename(tmp_path / "elsewhere" / path.name)

    with pytest.raises(openai.InternalServerError, match="was moved, removed or replaced") as refused:
        sdk.chat.completions.create(model=MODEL, messages=HELLO)
    assert refused.value.status_code == 503
    with pytest.raises(urllib.error.HTTPError) as not_ready:
        urllib.request.urlopen(f"{lonely.gateway.url}/health/ready", timeout=5)
    assert "pertoken.db; put it back" in json.load(not_ready.value)["reason"]
    assert not (tmp_path / "pertoken.db").exists()

    for path in files:
        (tmp_path / "elsewhere" / path.name).rename(path)
    sdk.chat.completions.create(model=MODEL, messages=HELLO)
    lonely.agrees(2)


def test_a_gateway_that_is_asked_to_end_settles_first(lonely: Stack) -> None:
    """SIGTERM in the middle of a stream: the stream is served to its end, its settlement is on disk."""
    sdk = OpenAI(base_url=f"{lonely.gateway.url}/v1", api_key=lonely.secret, max_retries=0)
    stream = sdk.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, extra_headers={"x-sim-output-tokens": "20", "x-sim-chunk-ms": "20"}
    )
    next(iter(stream))
    lonely.gateway.popen.terminate()
    chunks = list(stream)

    assert chunks[-1].choices[0].finish_reason == "stop"
    assert lonely.gateway.popen.wait(15) == 0
    lonely.agrees(1)


def test_a_killed_gateway_leaves_a_hold_that_expires(lonely: Stack, tmp_path: Path) -> None:
    """SIGKILL in the middle of a call: the hold is on disk, and the next gateway lets it go when its time is over."""
    name = "limit"
    with lonely.database.write() as connection:
        from pertoken.services import budgets
        from pertoken.store.administration import Administration

        wish = budgets.Wish(name, "1", scope={"key": lonely.key_id})
        budgets.set_budget(Administration(connection), lonely.clock, wish)
    sdk = OpenAI(base_url=f"{lonely.gateway.url}/v1", api_key=lonely.secret, max_retries=0)
    stream = sdk.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, extra_headers={"x-sim-output-tokens": "90", "x-sim-chunk-ms": "20"}
    )
    next(iter(stream))
    lonely.gateway.popen.kill()
    lonely.gateway.popen.wait(10)

    assert len(lonely.open_holds()) == 1
    assert float(lonely.budget(name)["held"]) > 0
    assert lonely.differences() == []
    with lonely.database.write() as connection:  # instead of waiting for twenty minutes
        connection.exec_driver_sql("UPDATE holds SET expires_at_us = 1")
    again = start(
        ["-m", "pertoken", "serve", "--port", "0"], gateway_environ(lonely.simulator.url, tmp_path), tmp_path / "2.log"
    )
    try:
        lonely.settled(0)
        assert float(lonely.budget(name)["held"]) == 0
        assert lonely.differences() == []
    finally:
        again.stop()


def test_what_cannot_be_posted_closes_its_provider(lonely: Stack, tmp_path: Path) -> None:
    """A gateway that takes over a settlement which the books do not take is not ready, and calls no more there.

    The answer names the call and the reason, and so does doctor; the file stays.
    """
    dead = Owed(Path(f"{lonely.database.place}.owed"), "dead:1")
    dead.keep(settle(hold("call_1"), 10**40), "of before", parked=True)
    dead.close()
    environ = gateway_environ(lonely.simulator.url, tmp_path)
    closed = start(["-m", "pertoken", "serve", "--port", "0"], environ, tmp_path / "2.log")
    try:
        sdk = OpenAI(base_url=f"{closed.url}/v1", api_key=lonely.secret, max_retries=0)
        with pytest.raises(openai.InternalServerError, match=r"no call goes to openai.*call_1") as refused:
            sdk.chat.completions.create(model=MODEL, messages=HELLO)
        assert refused.value.status_code == 503
        with pytest.raises(urllib.error.HTTPError) as not_ready:
            urllib.request.urlopen(f"{closed.url}/health/ready", timeout=5)
        said = json.load(not_ready.value)
        assert (not_ready.value.code, said["status"]) == (503, "not ready")
        assert "call_1" in said["reason"]
        assert lonely.served()["calls"] == 0
    finally:
        closed.stop()
    [(_, owing)] = read_all(Path(f"{lonely.database.place}.owed"))
    assert owing.command.hold_id == "call_1"
    assert "a bug in pertoken" in owing.reason
    lonely.agrees(0)


def test_a_server_that_is_gone(tmp_path: Path) -> None:
    """With a line of credit, calls are served up to it while PostgreSQL is down, and are in the books afterwards."""
    with running() as server:
        simulator = start(["-m", "pertoken.simulator", "--port", "0"], {}, tmp_path / "simulator.log")
        more = {"PERTOKEN_DATABASE_URL": server.get_uri(), "PERTOKEN_LIMITS__CREDIT": "0.0006"}
        environ = gateway_environ(simulator.url, tmp_path, XDG_DATA_HOME=str(tmp_path), **more)
        gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, tmp_path / "gateway.log")
        stack = Stack(gateway, simulator, Database(server.get_uri()))
        stack.key_id, stack.secret = stack.new_key("one")
        sdk = OpenAI(base_url=f"{gateway.url}/v1", api_key=stack.secret, max_retries=0)

        def is_served() -> bool:
            headers = {"x-sim-output-tokens": "100"}
            try:
                sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=500, extra_headers=headers)
            except openai.InternalServerError as refused:
                assert refused.status_code == 503
                return False
            return True

        try:
            assert is_served()
            stop(server)
            served = [is_served() for _ in range(12)].count(True)
            assert 2 <= served < 12
            [kept] = (tmp_path / "pertoken" / "credit").iterdir()
            assert kept.stat().st_mode & 0o077 == 0
            restart(server)
            stack.agrees(1 + served)
            assert [own(event).late for event in stack.events()].count(True) == served
            assert not list(kept.parent.iterdir())
        finally:
            gateway.stop()
            simulator.stop()
            stack.database.close()
