"""What happens before a refusal: capping, a cheaper model, waiting; and warnings on the way there."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI
from tests.e2e.conftest import Process, Stack, gateway_environ, start
from tests.factories import own

from pertoken.store.database import Database

HELLO: list[Any] = [{"role": "user", "content": "say hello"}]
MODELS = """
models:
  large: {provider: openai, model: gpt-4o, cheaper: small}
  small: {provider: openai, model: gpt-4o-mini}
limits: {queue_ms: 60000}
"""


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Stack]:
    """Return a gateway that knows a cheaper model and lets calls wait."""
    folder = tmp_path_factory.mktemp("steps")
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


def ask(stack: Stack, model: str = "large", **more: Any) -> Any:
    """Make a call that makes as much as it may; return its answer with headers."""
    sdk = OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0)
    headers = {"x-sim-output-tokens": "5000", **more.pop("headers", {})}
    return sdk.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, extra_headers=headers, **{"max_tokens": 4_000, **more}
    )


def test_a_cap_that_cannot_be_paid_is_lowered_and_said_so(stack: Stack) -> None:
    """An agent that asks for more than is left gets what is left, and the headers and the event say so."""
    budget = stack.set_budget("0.001")
    raw = ask(stack, "small")

    [event] = stack.settled(1)
    made = event.quantities["output_tokens"]
    assert 1_000 < made < 4_000
    assert raw.headers["x-pertoken-changed"] == f"model=gpt-4o-mini, output_max={made}"
    assert own(event).changed == raw.headers["x-pertoken-changed"]
    assert raw.parse().choices[0].finish_reason == "length"
    assert 0.00099 < float(stack.budget(budget)["spent"]) <= 0.001


def test_a_cap_is_lowered_only_where_policy_lets_it(stack: Stack) -> None:
    """A budget that refuses at once does so, and nothing is spent or sent."""
    stack.set_budget("0.001", steps="refuse")
    with pytest.raises(openai.APIStatusError) as refused:
        ask(stack, "small")

    assert refused.value.status_code == 402
    assert stack.served()["calls"] == 0


def test_thinking_is_not_capped_away(stack: Stack) -> None:
    """A cap that would leave no room beside the thinking that was asked for is a refusal instead."""
    stack.set_budget("0.02")
    sdk = Anthropic(base_url=stack.gateway.url, api_key=stack.secret, max_retries=0)
    thinking: Any = {"type": "enabled", "budget_tokens": 16_000}
    with pytest.raises(Exception, match="needs up to") as refused:
        sdk.messages.create(model="claude-haiku-4-5", max_tokens=20_000, messages=HELLO, thinking=thinking)

    assert getattr(refused.value, "status_code", None) == 402


@pytest.mark.parametrize(
    ("steps", "model", "is_capped"), [("cheaper,cap", "gpt-4o-mini", False), ("cap,cheaper", "gpt-4o", True)]
)
def test_steps_are_tried_in_their_order(stack: Stack, steps: str, model: str, is_capped: bool) -> None:
    """Where the cheaper model comes first the answer is whole; where capping does, it is the better model's."""
    stack.set_budget("0.01", steps=steps)
    raw = ask(stack)

    [event] = stack.settled(1)
    assert event.attribution.model == ("small" if model == "gpt-4o-mini" else "large")
    assert event.lines
    assert raw.headers["x-pertoken-model"] == model
    assert f"model={model}" in raw.headers["x-pertoken-changed"]
    assert ("output_max" in raw.headers["x-pertoken-changed"]) == is_capped
    assert event.quantities["output_tokens"] == 4_000 or is_capped
    assert stack.fetch("/sim/ledger")["by"][0]["model"] == model
    assert stack.differences() == []


def test_a_cheaper_model_is_no_way_around_a_limit(stack: Stack) -> None:
    """Where even the cheaper model does not fit, the call is refused."""
    stack.set_budget("0.0000001", steps="cheaper,cap")
    with pytest.raises(openai.APIStatusError) as refused:
        ask(stack)

    assert refused.value.status_code == 402
    assert stack.served()["calls"] == 0


def test_money_that_others_hold_is_waited_for(stack: Stack) -> None:
    """While a running call holds what is left, the next waits for its settlement instead of being refused."""
    stack.set_budget("0.003", steps="queue")
    few = {"x-sim-output-tokens": "10", "x-sim-latency-ms": "300"}
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: ask(stack, "small", headers=few), range(3)))

    assert len(answers) == 3
    assert len(stack.settled(3)) == 3


def test_a_warning_before_the_limit(stack: Stack) -> None:
    """From the share that the budget names on, each answer says how full it is; calls are served all the same."""
    budget = stack.set_budget("0.01", warn_percent=30)
    first, second = ask(stack, "small", max_tokens=3_000), ask(stack, "small", max_tokens=3_000)

    assert "x-pertoken-budget-warning" not in first.headers
    assert second.headers["x-pertoken-budget-warning"] == f"{budget} at 36 %"
    assert stack.budget(budget)["warn_percent"] == 30
