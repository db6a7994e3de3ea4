"""Calls whose provider fails before it answers: sent again, or to another model, each attempt held by itself."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.e2e.conftest import HASTY, Process, Stack, gateway_environ, stack_of_its_own, start
from tests.factories import own

from pertoken.store.database import Database

HELLO: list[Any] = [{"role": "user", "content": "say hello"}]
MODELS = """
models:
  first: {provider: broken, model: gpt-4o, fallbacks: [second, third]}
  second: {provider: broken, model: gpt-4o-mini}
  third: {provider: openai, model: gpt-4o-mini}
  large: {provider: openai, model: gpt-4o, cheaper: less, fallbacks: [less, third]}
  less: {provider: broken, model: gpt-4o-mini}
providers:
  broken: {base_url: "http://127.0.0.1:9/v1", prices_from: [openai]}
limits: {retries: 1}
"""


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Stack]:
    """Return a gateway that tries twice, and then others."""
    folder = tmp_path_factory.mktemp("attempts")
    (folder / "pertoken.yaml").write_text(MODELS)
    environ = gateway_environ(simulator.url, folder, PERTOKEN_CONFIG=str(folder / "pertoken.yaml"))
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, folder / "gateway.log")
    stack = Stack(gateway, simulator, Database(environ["PERTOKEN_DATABASE_URL"]))
    try:
        yield stack
    finally:
        gateway.stop()
        stack.database.close()


@pytest.fixture
def stack(processes: Stack, request: pytest.FixtureRequest) -> Stack:
    """Return the stack with a key of the test's own."""
    processes.fetch("/sim/reset", "POST")
    name = f"{request.node.name}-{time.time_ns()}"
    key_id, secret = processes.new_key(name)
    return Stack(processes.gateway, processes.simulator, processes.database, key_id, secret, name)


def ask(stack: Stack, fault: str, model: str = "gpt-4o-mini", **more: Any) -> Any:
    """Make a call whose provider fails as said."""
    sdk = OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0)
    headers = {"x-sim-fault": fault, **more.pop("headers", {})}
    return sdk.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, max_tokens=50, extra_headers=headers, **more
    )


@pytest.mark.parametrize("fault", ["http_500*1", "http_429*1"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_failure_that_passes_is_not_seen(stack: Stack, fault: str, stream: bool) -> None:
    """A second attempt is served; the first cost nothing; the call has one id."""
    budget = stack.set_budget("1")
    raw = ask(stack, fault, stream=stream)
    call_id = raw.headers["x-pertoken-call-id"]
    if stream:
        assert list(raw.parse())

    [event] = stack.settled(1)
    assert (event.event_id, own(event).attempts) == (f"{call_id}.2", 2)
    assert None not in own(event).timeline
    assert stack.served()["calls"] == 1
    assert float(stack.budget(budget)["spent"]) == pytest.approx(float(stack.cost()))
    assert stack.explain(call_id)["cost"] != "0"


def test_another_model_takes_over(stack: Stack) -> None:
    """Where asking again does not help, the next model serves, priced as itself, and the headers say so."""
    raw = ask(stack, "slow_first_byte", "first", headers={"x-sim-latency-ms": "10"})

    [event] = stack.settled(1)
    assert event.event_id == f"{raw.headers['x-pertoken-call-id']}.4", "twice the first, once the second"
    assert event.attribution.model == "third"
    assert raw.headers["x-pertoken-model"] == "gpt-4o-mini"
    assert raw.headers["x-pertoken-changed"] == "model=gpt-4o-mini"
    assert stack.fetch("/sim/ledger")["by"][0]["model"] == "gpt-4o-mini"
    assert stack.differences() == []


def test_the_last_failure_is_what_the_client_sees(stack: Stack) -> None:
    """Where nothing helps, the client gets the provider's own error, and nothing stays held or is charged."""
    with pytest.raises(openai.InternalServerError, match="simulated http_500"):
        ask(stack, "http_500")

    assert stack.settled(0) == []
    assert len(stack.sim_calls()) == 2


def test_what_trying_again_cannot_mend_is_not_tried(stack: Stack) -> None:
    """A request that the provider refuses as wrong is sent once."""
    with pytest.raises(openai.BadRequestError):
        ask(stack, "no_such_fault")

    assert len(stack.sim_calls()) <= 1
    assert stack.settled(0) == []


def test_an_attempt_that_may_be_billed_is_charged_beside_the_one_that_was_served(
    tmp_path: Path, simulator: Process
) -> None:
    """A provider that took the call and went silent may charge for it: an estimate, under the same call."""
    with stack_of_its_own(tmp_path, simulator, PERTOKEN_LIMITS__RETRIES="1", **HASTY) as hasty:
        with pytest.raises(openai.InternalServerError) as failed:
            ask(hasty, "stall")
        events = hasty.settled(2)

    call_id = failed.value.response.headers["x-pertoken-call-id"]
    assert [event.event_id for event in events] == [call_id, f"{call_id}.2"]
    assert all(event.completeness == "estimated" for event in events)


def test_a_named_call_keeps_its_name_over_attempts(stack: Stack) -> None:
    """Asked again by its name, a call that needed two attempts gives the same answer and makes no third."""
    name = {"x-pertoken-idempotency-key": stack.name}
    first = ask(stack, "http_500*1", headers=name)
    again = ask(stack, "http_500*1", headers=name)

    assert again.parse().id == first.parse().id
    assert len(stack.settled(1)) == 1
    assert stack.served()["calls"] == 1


def test_a_cheaper_model_keeps_the_fallbacks(stack: Stack) -> None:
    """A call that went to a cheaper model which fails goes on to the fallbacks of the name that was asked for."""
    stack.set_budget("0.0003", steps="cheaper")
    raw = ask(stack, "", model="large")

    [event] = stack.settled(1)
    assert event.attribution.model == "third"
    assert event.event_id == f"{raw.headers['x-pertoken-call-id']}.3"  # less was tried twice, and not as a fallback
    assert stack.differences() == []
