"""Providers that charge what they state, over real connections: the statement is the cost, the book stands beside."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from openai import OpenAI
from tests.e2e.conftest import Process, Stack, stack_of_its_own

from pertoken.core.events import Event, EventStatus

HELLO: list[Any] = [{"role": "user", "content": "say hello in five languages"}]
MODELS = {"openrouter": "openai/gpt-4o-mini", "x-ai": "grok-4.3", "perplexity": "sonar"}


@pytest.fixture(scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Stack]:
    config = tmp_path_factory.mktemp("stated") / "pertoken.yaml"
    providers = "".join(f"  {name}: {{base_url: {simulator.url}/v1, api_key: k}}\n" for name in MODELS)
    routes = "".join(f"  via-{name}: {{provider: {name}, model: {model}}}\n" for name, model in MODELS.items())
    config.write_text(f"providers:\n{providers}models:\n{routes}")
    with stack_of_its_own(config.parent, simulator, PERTOKEN_CONFIG=str(config)) as stack:
        yield stack


@pytest.fixture
def stack(_stack: Stack, request: pytest.FixtureRequest) -> Stack:
    """Return the running stack with a fresh key."""
    name = f"{request.node.name}-{time.time_ns()}"
    key_id, secret = _stack.new_key(name)
    return Stack(_stack.gateway, _stack.simulator, _stack.database, key_id, secret, name)


def ask(stack: Stack, provider: str, cost: str, *, stream: bool) -> Event:
    """Make one call with OpenAI's own SDK whose answer states a cost; return its event."""
    sdk = OpenAI(api_key=stack.secret, base_url=f"{stack.gateway.url}/v1", max_retries=0)
    asked: dict[str, Any] = {"model": f"via-{provider}", "messages": HELLO, "max_tokens": 40}
    headers = {"x-sim-cost": cost}
    if stream:
        told = {"include_usage": True}
        chunks = list(sdk.chat.completions.create(**asked, stream=True, stream_options=told, extra_headers=headers))
        assert chunks[-1].usage is not None
    else:
        sdk.chat.completions.create(**asked, extra_headers=headers)
    [event] = stack.settled(1)
    return event


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("provider", "cost", "charged"),
    [
        ("openrouter", "0.0160614", "0.0160614"),
        ("openrouter", "0", "0"),
        ("x-ai", "cost_in_usd_ticks=12345678", "0.0012345678"),
        ("perplexity", "cost.total_cost=0.0061", "0.0061"),
    ],
)
def test_the_statement_is_charged(stack: Stack, provider: str, cost: str, charged: str, stream: bool) -> None:
    """The cost is what the answer states to the last digit, counts for the budget, and explain has the difference."""
    name = stack.set_budget("5")
    event = ask(stack, provider, cost, stream=stream)
    explained = stack.explain(event.event_id)

    assert event.status is EventStatus.PRICED
    assert explained["cost"] == stack.budget(name)["spent"] == charged
    by_book = Decimal(explained["price_book"]["cost"])
    assert by_book > 0
    assert Decimal(explained["price_book"]["difference"]) == Decimal(charged) - by_book
    assert stack.differences() == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_statement_in_doubt_is_charged_where_it_is_dearer(stack: Stack, stream: bool) -> None:
    """A cost that is a text is charged, for it is more than the price book says, and the event is marked."""
    event = ask(stack, "openrouter", '"0.0160614"', stream=stream)

    assert event.status is EventStatus.CONTRADICTORY
    assert stack.explain(event.event_id)["cost"] == "0.0160614"


def test_hard_budgets_end_by_what_is_stated(stack: Stack) -> None:
    """Calls whose statement is far beyond the price book use a hard budget up by that."""
    name = stack.set_budget("0.001")
    ask(stack, "openrouter", "0.05", stream=False)
    sdk = OpenAI(api_key=stack.secret, base_url=f"{stack.gateway.url}/v1", max_retries=0)

    with pytest.raises(Exception, match="402"):
        sdk.chat.completions.create(model="via-openrouter", messages=HELLO, max_tokens=40)
    assert stack.budget(name)["spent"] == "0.05"
