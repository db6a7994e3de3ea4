"""A provider's key, encrypted in the settings: it reaches its provider and comes out nowhere else, whatever fails."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import MakeDatabase
from tests.e2e.conftest import HASTY, SECRET_KEY, Stack, gateway_environ, start

from pertoken import settings
from pertoken.services.explain import explain
from pertoken.simulator.behaviour import FAULTS
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.wiring.provider_keys import encrypt_provider_key

MARKER = "marker-that-nobody-may-see"
ADMIN = "the operator's own key, long enough"
PAGES = ("keys", "budgets", "holds", "events", "usage", "verification", "admins")
CONFIG = """
providers:
  good: {{base_url: "{simulator}/v1", api_key: "{token}", prices: {{good-model: {{input: "1", output: "2"}}}}}}
  dead: {{base_url: "http://127.0.0.1:9/v1", api_key: "{token}", prices: {{dead-model: {{input: "1", output: "2"}}}}}}
  plain: {{base_url: "{simulator}/v1", api_key: "{marker}\\x01", prices: {{plain-model: {{input: "1", output: "2"}}}}}}
  tls: {{base_url: "{tls}/v1", api_key: "{marker}", prices: {{tls-model: {{input: "1", output: "2"}}}}}}
  babble: {{base_url: "{babble}/v1", api_key: "{marker}", prices: {{babble-model: {{input: "1", output: "2"}}}}}}
"""


@contextmanager
def babbling() -> Iterator[str]:
    """Yield the address of a server that sends the request back instead of an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(connection.recv(65_536))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def ask(url: str, secret: str, body: dict[str, Any] | None = None, **headers: str) -> str:
    """Return status, headers and body of an answer as text."""
    sent = {"authorization": f"Bearer {secret}", "content-type": "application/json", **headers}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), sent)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return f"{answer.status}\n{answer.headers}\n{answer.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code}\n{error.headers}\n{error.read().decode()}"
    except (OSError, urllib.error.URLError) as error:  # cut in the middle, as its provider was
        return repr(error)


def test_a_key_goes_to_its_provider_and_nowhere_else(make_database: MakeDatabase, tmp_path: Path) -> None:
    """Every failure a provider can have, whole and streamed: the key is in no answer, log, page or file."""
    environ = {"PERTOKEN_SECRET_KEY": SECRET_KEY, "PERTOKEN_DATABASE_URL": make_database("sqlite", tmp_path)}
    token = encrypt_provider_key(settings.load(environ), MARKER)
    simulator = start(["-m", "pertoken.simulator", "--port", "0"], {}, tmp_path / "simulator.log")
    with babbling() as babble:
        config = tmp_path / "pertoken.yaml"
        tls = simulator.url.replace("http:", "https:")
        config.write_text(CONFIG.format(simulator=simulator.url, token=token, marker=MARKER, tls=tls, babble=babble))
        environ |= {"PERTOKEN_CONFIG": str(config), "PERTOKEN_ADMIN_KEY": ADMIN, **HASTY}
        gateway = start(
            ["-m", "pertoken", "serve", "--port", "0"],
            gateway_environ(simulator.url, tmp_path, **environ),
            tmp_path / "gateway.log",
        )
        stack = Stack(gateway, simulator, Database(environ["PERTOKEN_DATABASE_URL"]))
        try:
            stack.key_id, stack.secret = stack.new_key("app")
            answers = list(calls(stack))
            answers += [ask(f"{gateway.url}/api/v1/{page}", ADMIN) for page in PAGES]
            served = stack.fetch("/sim/ledger")
            with stack.database.read() as connection:
                explained = [explain(Archive(connection), event.event_id) for event in stack.events()]
        finally:
            gateway.stop()
            simulator.stop()
            stack.database.close()

    assert {row["api_key"] for row in served["by"]} == {MARKER}
    assert {answer[:3] for answer in answers} >= {"200", "500", "429", "502", "504"}
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in {config.name, "simulator.log"}]
    kept = {str(path): path.read_bytes() for path in files}
    assert any(b"good-model" in text for text in kept.values())
    assert [name for name, text in kept.items() if MARKER.encode() in text] == []
    assert [text for text in (*answers, *map(str, explained)) if MARKER in text] == []


def calls(stack: Stack) -> Iterator[str]:
    """Make a call of each kind that can fail, whole and streamed, and yield what was answered."""
    url = f"{stack.gateway.url}/v1/chat/completions"
    for stream in (False, True):
        body = {"messages": [{"role": "user", "content": "hello"}], "stream": stream, "max_tokens": 20}
        yield ask(url, stack.secret, {**body, "model": "good-model"})
        for fault in FAULTS:
            yield ask(url, stack.secret, {**body, "model": "good-model"}, **{"x-sim-fault": fault})
        for provider in ("dead", "plain", "tls", "babble"):
            yield ask(url, stack.secret, {**body, "model": f"{provider}-model"})
