"""What Prometheus reads from a real gateway: who may, and whether it is what the ledger says."""

import base64
import os
import random
import signal
import urllib.error
import urllib.request
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from openai import APIStatusError, OpenAI
from prometheus_client.parser import text_string_to_metric_families as parse
from tests.e2e.conftest import HASHER, Process, Stack, gateway_environ, stack_of_its_own, start
from tests.e2e.rig import wait_for

from pertoken.core.access import Role
from pertoken.core.money import pico_digits
from pertoken.services.admins import create_admin
from pertoken.store.admins import AdminKeys
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock

MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-nano")
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
ROOT_KEY = "the-root-key-of-this-test"

Samples = dict[tuple[str, ...], float]


def fetch(url: str, path: str = "/metrics", **headers: str) -> tuple[int, str]:
    """Return the status and body of a path."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, headers=names)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def scrape(url: str) -> Samples:
    """Return all samples: by name, and the values of labels in the order of their names."""
    status, text = fetch(url)
    assert status == 200, text
    samples = [one for family in parse(text) for one in family.samples]
    return {(one.name, *(one.labels[label] for label in sorted(one.labels))): one.value for one in samples}


def total(samples: Samples, name: str, *values: str) -> float:
    """Return the sum of the samples of a name that have all these values of labels."""
    return sum(value for (first, *labels), value in samples.items() if first == name and set(values) <= set(labels))


def some_calls(stack: Stack, chance: random.Random, number: int) -> Counter[str]:
    """Make calls of all kinds; return how many ended how, as their client sees it."""
    seen: Counter[str] = Counter()
    openai = OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0)
    anthropic = Anthropic(base_url=stack.gateway.url, api_key=stack.secret, max_retries=0)
    for _ in range(number):
        kind = chance.choice(("whole", "stream", "claude", "unknown_model", "http_500"))
        model = "nobody-knows" if kind == "unknown_model" else chance.choice(MODELS)
        fault = {"x-sim-fault": kind} if kind == "http_500" else {}
        try:
            if kind == "claude":
                anthropic.messages.create(model="claude-haiku-4-5", max_tokens=50, messages=HELLO)
            elif kind == "stream":
                list(openai.chat.completions.create(model=model, messages=HELLO, stream=True))
            else:
                openai.chat.completions.create(model=model, messages=HELLO, extra_headers=fault)
            seen["ok"] += 1
        except APIStatusError:
            seen["refused" if kind == "unknown_model" else "failed"] += 1
    return seen


def test_figures_are_what_the_ledger_says(simulator: Process, tmp_path: Path) -> None:
    """After calls of all kinds, calls, tokens, cost and shares are what events and budgets in the database say."""
    with stack_of_its_own(tmp_path, simulator) as stack:
        budget = stack.set_budget("0.01")
        seen = some_calls(stack, random.Random(18), 40)
        samples, events = scrape(stack.gateway.url), stack.events()
        spent = Decimal(stack.budget(budget)["spent"])

    assert {status: total(samples, "pertoken_calls_total", status) for status in seen} == dict(seen)
    assert samples["pertoken_refusals_total", "unknown_model"] == seen["refused"]
    assert (
        samples["pertoken_call_duration_seconds_count", "openai"]
        + samples["pertoken_call_duration_seconds_count", "anthropic"]
        == seen["ok"] + seen["failed"]
    )
    for model in {event.attribution.model or "" for event in events}:
        of_model = [event for event in events if event.attribution.model == model]
        picos = Decimal(sum(event.cost_picos for event in of_model))
        assert total(samples, "pertoken_cost_total", "USD", model) == float(picos.scaleb(-pico_digits("USD")))
        tokens = sum(event.quantities["input_tokens"] + event.quantities["output_tokens"] for event in of_model)
        assert total(samples, "pertoken_tokens_total", model) == tokens
        for kind in ("input", "output"):
            expected = sum(event.quantities[f"{kind}_tokens"] for event in of_model)
            assert total(samples, "gen_ai_client_token_usage_sum", model, kind) == expected
            assert total(samples, f"gen_ai_client_inference_usage_{kind}_tokens_total", model) == expected
    assert total(samples, "pertoken_budget_used_ratio", budget) == pytest.approx(float(spent / Decimal("0.01")))
    assert samples["pertoken_open_holds",] == 0
    assert samples["pertoken_store_up",] == 1


def basic(password: str) -> str:
    """Return basic authentication with a password."""
    return "Basic " + base64.b64encode(f"prometheus:{password}".encode()).decode()


def test_a_key_is_needed_where_it_is_not_open(simulator: Process, tmp_path: Path) -> None:
    """Closed, both paths take the keys of those who may see all calls, in both ways, and nothing else."""
    more = {"PERTOKEN_METRICS__OPEN": "false", "PERTOKEN_ADMIN_KEY": ROOT_KEY}
    with stack_of_its_own(tmp_path, simulator, **more) as stack:
        keys = {role: new_admin(stack.database, role) for role in Role}

        def ask(path: str, authorization: str) -> int:
            return fetch(stack.gateway.url, path, Authorization=authorization)[0]

        for path in ("/metrics", "/health"):
            answers = {
                role: fetch(stack.gateway.url, path, Authorization=f"Bearer {key}")[0] for role, key in keys.items()
            }
            assert answers == {
                Role.ADMIN: 200, Role.FINANCE: 200, Role.VIEWER: 200, Role.TEAM_OWNER: 403, Role.CUSTOMER: 403,
            }  # fmt: skip
            allowed = (basic(keys[Role.VIEWER]), basic(ROOT_KEY), f"Bearer {ROOT_KEY}")
            assert [fetch(stack.gateway.url, path, Authorization=one)[0] for one in allowed] == [200, 200, 200]
            refused = (
                "",
                "Bearer ",
                "Bearer nobody",
                basic(""),
                basic("nobody"),
                "Basic %%%",
                f"Bearer {stack.secret}",
            )
            assert [fetch(stack.gateway.url, path, Authorization=one)[0] for one in refused] == [401] * len(refused)
        assert fetch(stack.gateway.url, "/health/live")[0] == 200
        assert fetch(stack.gateway.url, "/health/ready")[0] == 200


def new_admin(database: Database, role: Role) -> str:
    """Make an admin key of a role; return its secret."""
    team, customer = ("t1" if role is Role.TEAM_OWNER else None), ("c1" if role is Role.CUSTOMER else None)
    with database.write() as connection:
        admins = AdminKeys(connection)
        return create_admin(admins, SystemClock(), HASHER, str(role), role, team=team, customer=customer).secret


def test_loopback_is_open_to_this_machine_alone(simulator: Process, tmp_path: Path) -> None:
    """By default a server on loopback answers who is there, but no proxy and no page under another name."""
    with stack_of_its_own(tmp_path, simulator) as stack:
        assert fetch(stack.gateway.url)[0] == 200
        assert '"status":"ready"' in fetch(stack.gateway.url, "/health")[1]
        for name, value in (("X-Forwarded-For", "10.1.2.3"), ("Forwarded", "for=10.1.2.3"), ("Host", "evil.example")):
            assert fetch(stack.gateway.url, **{name.replace("-", "_"): value})[0] == 401


def workers_of(gateway: Process) -> list[int]:
    """Return the processes that a gateway with several workers has now."""
    pid = gateway.popen.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def calls_apart(stack: Stack, number: int) -> None:
    """Make calls, each on a connection of its own, so that the kernel spreads them over the workers."""
    for _ in range(number):
        with OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0) as openai:
            openai.chat.completions.create(model=MODELS[0], messages=HELLO)


def test_workers_are_summed_and_a_dead_one_stays_counted(simulator: Process, tmp_path: Path) -> None:
    """Whichever worker is asked answers for both; where one is killed, no count falls, and its successor counts on."""
    environ = gateway_environ(simulator.url, tmp_path)
    gateway = start(["-m", "pertoken", "serve", "--port", "0", "--workers", "2"], environ, tmp_path / "log")
    stack = Stack(gateway, simulator, Database(environ["PERTOKEN_DATABASE_URL"]))
    counted: list[float] = []

    def count() -> float:
        counted.append(total(scrape(gateway.url), "pertoken_calls_total"))
        return counted[-1]

    try:
        stack.key_id, stack.secret = stack.new_key("two workers")
        calls_apart(stack, 30)
        wait_for(lambda: count() == 30)
        before = workers_of(gateway)
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: count() and set(workers_of(gateway)) - set(before))
        calls_apart(stack, 30)
        wait_for(lambda: count() == 60)
        wait_for(lambda: scrape(gateway.url)["pertoken_workers",] == 2)
    finally:
        gateway.stop()
        stack.database.close()
    assert counted == sorted(counted), "a count fell"
