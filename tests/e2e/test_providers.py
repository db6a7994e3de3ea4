"""Providers as configured, end to end: any endpoint by three lines of YAML, Azure's two forms, and the cut."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.e2e.conftest import Process, Stack, gateway_environ, start

from pertoken.store.database import Database

HELLO: list[Any] = [{"role": "user", "content": "say hello in five languages"}]

# The first three lines of each provider are what its own endpoint takes; the rest tries one more thing each.
CONFIG = """
providers:
  my-server:
    base_url: SIMULATOR/v1
    prices: {our-model: {input: "1", output: "2"}}
  cutting:
    base_url: SIMULATOR/v1
    prices: {cut-model: {input: "1", output: "2"}}
    on_hangup: cut
    stops_billing_on_abort: true
  silent:
    base_url: SIMULATOR/v1
    prices: {silent-model: {input: "1", output: "2"}}
    stream_usage: false
  newer:
    base_url: SIMULATOR/v1
    prices: {newer-model: {input: "1", output: "2"}}
    output_cap: max_completion_tokens
  azure:
    base_url: SIMULATOR/openai/v1
  azure-classic:
    base_url: SIMULATOR/openai/deployments/{model}
    auth: api-key
    query: {api-version: "2024-10-21"}
    prices: {gpt-4o-mini: {input: "1", output: "2"}}
models:
  our-azure: {provider: azure, model: team-deployment, priced_as: gpt-4o-mini}
  old-azure: {provider: azure-classic, model: old-deployment, priced_as: gpt-4o-mini}
"""


@pytest.fixture(scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory, simulator: Process) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("providers")
    config = folder / "pertoken.yaml"
    config.write_text(CONFIG.replace("SIMULATOR", simulator.url))
    keys = {f"{name}_API_KEY": f"key of {name}" for name in ("MY_SERVER", "CUTTING", "SILENT", "NEWER", "AZURE_OPENAI")}
    environ = gateway_environ(
        simulator.url,
        folder,
        PERTOKEN_CONFIG=str(config),
        PERTOKEN_LIMITS__IDLE_MS="600000",
        AZURE_CLASSIC_API_KEY="key of classic",
        **keys,
    )
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, folder / "gateway.log")
    database = Database(environ["PERTOKEN_DATABASE_URL"])
    try:
        yield Stack(gateway, simulator, database)
    finally:
        gateway.stop()
        database.close()


@pytest.fixture
def stack(_stack: Stack, request: pytest.FixtureRequest) -> Stack:
    """Return the running stack with a fresh key, the simulator's count at zero."""
    _stack.fetch("/sim/reset", "POST")
    name = f"{request.node.name}-{time.time_ns()}"
    key_id, secret = _stack.new_key(name)
    return Stack(_stack.gateway, _stack.simulator, _stack.database, key_id, secret, name)


def client(stack: Stack) -> OpenAI:
    """Return the SDK pointed at the gateway."""
    return OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0)


def test_three_lines_of_yaml(stack: Stack) -> None:
    """An endpoint with a name, a base URL and a price serves whole and streamed calls, exactly billed."""
    client(stack).chat.completions.create(model="our-model", messages=HELLO)
    chunks = list(client(stack).chat.completions.create(model="our-model", messages=HELLO, stream=True))

    stack.agrees(2)
    assert {event.attribution.provider for event in stack.events()} == {"my-server"}
    assert {event.completeness for event in stack.events()} == {"final"}
    assert all(chunk.usage is None for chunk in chunks)
    assert stack.sim_calls()[0]["body"]["stream_options"] == {"include_usage": True}


def test_a_stream_whose_provider_takes_no_option(stack: Stack) -> None:
    """The option is not sent; a stream without usage is counted and says so, and what a client asks for passes."""
    sdk = client(stack)
    list(sdk.chat.completions.create(model="silent-model", messages=HELLO, stream=True))

    assert "stream_options" not in stack.sim_calls()[0]["body"]
    [event] = stack.settled(1)
    assert event.completeness == "estimated"
    assert event.cost_picos > 0
    asked = sdk.chat.completions.create(
        model="silent-model", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert [chunk.usage for chunk in asked if chunk.usage]
    assert {event.completeness for event in stack.settled(2)} == {"estimated", "final"}


def test_the_cap_is_written_where_the_provider_reads_it(stack: Stack) -> None:
    """A budget's cap goes into the provider's own field; a client's cap under the newer name is moved to it."""
    sdk = client(stack)
    raw = sdk.chat.completions.with_raw_response
    moved = raw.create(model="our-model", messages=HELLO, max_completion_tokens=40)
    kept = raw.create(model="newer-model", messages=HELLO, max_tokens=40)
    stack.set_budget("0.01", window="total")
    sdk.chat.completions.create(model="our-model", messages=HELLO)
    sdk.chat.completions.create(model="newer-model", messages=HELLO)
    newer, ours, second, first = (call["body"] for call in stack.sim_calls()[:4])

    assert moved.headers["x-pertoken-changed"] == "output_max=40"
    assert (first["max_tokens"], "max_completion_tokens" in first) == (40, False)
    assert "x-pertoken-changed" not in kept.headers
    assert (second["max_tokens"], "max_completion_tokens" in second) == (40, False)
    assert ours["max_tokens"] > 40
    assert newer["max_completion_tokens"] > 40
    stack.agrees(4)


def test_azure(stack: Stack) -> None:
    """A deployment of any name has the price of the model it is said to be; the key goes in Azure's own header."""
    for model in ("our-azure", "old-azure"):
        client(stack).chat.completions.create(model=model, messages=HELLO)
    calls = {call["path"]: call["body"]["model"] for call in stack.sim_calls()}

    assert calls == {
        "/openai/deployments/old-deployment/chat/completions": "old-deployment",
        "/openai/v1/chat/completions": "team-deployment",
    }
    stack.agrees(2)


@pytest.mark.parametrize("headers", [{"x-sim-chunk-ms": "50"}, {"x-sim-fault": "stall"}], ids=["slow", "stalled"])
def test_cut_on_hangup(stack: Stack, headers: dict[str, str]) -> None:
    """The provider is given up at once, even where it says nothing more, and the call settles on counted tokens."""
    stream = client(stack).chat.completions.create(
        model="cut-model", messages=HELLO, stream=True, extra_headers={"x-sim-output-tokens": "8000", **headers}
    )
    with contextlib.closing(stream):
        for _, _chunk in zip(range(3), stream, strict=False):
            pass

    [event] = stack.settled(1)  # to its end the stream would take 400 s, and the idle limit is 600 s
    assert event.completeness == "estimated"
    assert event.reason == "the client hung up and the answer was cut"
    assert 0 < event.quantities["output_tokens"] < 8000
    assert event.quantities["input_tokens"] > 0
    assert event.cost_picos > 0
    assert stack.differences() == []


def test_a_stream_that_nobody_leaves_is_not_cut(stack: Stack) -> None:
    """A provider configured to be cut serves who stays to the end on real usage."""
    list(client(stack).chat.completions.create(model="cut-model", messages=HELLO, stream=True))

    stack.agrees(1)
    assert stack.events()[0].completeness == "final"


def test_a_model_that_no_provider_has_a_price_for(stack: Stack) -> None:
    """A call without a price is refused before it is sent."""
    with pytest.raises(openai.APIStatusError) as raised:
        client(stack).chat.completions.create(model="never-heard-of", messages=HELLO)

    assert raised.value.status_code == 404
    assert stack.sim_calls() == []
