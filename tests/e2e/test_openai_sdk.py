"""The official OpenAI SDK through the gateway: our ledger equals the provider's own count."""

import asyncio
import contextlib
import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel
from tests.e2e.conftest import Stack, one_store
from tests.factories import own

from pertoken.catalogs.plan_files import read_plan_file
from pertoken.services.billing.plans import apply, subscribe
from pertoken.store.customers import Customers
from pertoken.store.plans import StoredPlans

MODEL = "gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "say hello in five languages"}]
WEATHER: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    }
]


class Answer(BaseModel):
    """A structured answer."""

    city: str
    population: int


def client(stack: Stack, **options: Any) -> OpenAI:
    """Return the SDK pointed at the gateway."""
    return OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, **{"max_retries": 0, **options})


def test_chat(stack: Stack) -> None:
    """A chat completion is answered, charged exactly, and says so in its headers."""
    raw = client(stack).chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    answer = raw.parse()

    assert answer.choices[0].message.content
    [event] = stack.settled(1)
    assert event.event_id == raw.headers["x-pertoken-call-id"]
    assert raw.headers["x-pertoken-model"] == MODEL
    explained = stack.explain(event.event_id)
    assert explained["cost"] == raw.headers["x-pertoken-cost"]
    assert answer.usage is not None
    assert event.quantities["output_tokens"] == answer.usage.completion_tokens
    stack.agrees(1)


def test_a_customer_is_charged_by_its_plan(stack: Stack) -> None:
    """From its subscription on, each call of a customer has a price beside its cost; others have none."""
    charges = [{"name": "at cost", "meter": {"unit": "cost"}, "model": "markup", "price": "0.25"}]
    fields = {"plan": "e2e", "version": 1, "currency": "USD", "charges": charges}
    with stack.database.write() as connection:
        plans = StoredPlans(connection)
        apply(plans, stack.clock, read_plan_file(json.dumps(fields).encode()))
        subscribe(plans, Customers(connection), stack.clock, stack.key_id, "e2e", None)
    create = client(stack).chat.completions.with_raw_response.create
    charged = create(model=MODEL, messages=HELLO, extra_headers={"x-pertoken-customer": stack.key_id})
    other = create(model=MODEL, messages=HELLO)

    cost, price = (Decimal(charged.headers[f"x-pertoken-{name}"]) for name in ("cost", "price"))
    assert price == cost * Decimal("1.25") > 0
    assert "x-pertoken-price" not in other.headers
    events = {event.event_id: event.price_picos for event in stack.settled(2)}
    assert events == {
        charged.headers["x-pertoken-call-id"]: int(price.scaleb(12)),
        other.headers["x-pertoken-call-id"]: None,
    }
    explained = [stack.explain(made.headers["x-pertoken-call-id"])["price"] for made in (charged, other)]
    assert explained == [charged.headers["x-pertoken-price"], None]
    assert stack.differences() == []


@one_store
def test_chat_stream_without_usage_asked(stack: Stack) -> None:
    """A client that did not ask for usage does not see the usage chunk that we had the provider send."""
    chunks = list(client(stack).chat.completions.create(model=MODEL, messages=HELLO, stream=True))

    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert stack.sim_calls()[0]["body"]["stream_options"] == {"include_usage": True}
    stack.agrees(1)


@one_store
def test_chat_stream_with_usage_asked(stack: Stack) -> None:
    """A client that asked for usage gets it, once, at the end."""
    chunks = list(
        client(stack).chat.completions.create(
            model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )

    assert [chunk.usage is not None for chunk in chunks].count(True) == 1
    assert chunks[-1].usage is not None
    stack.agrees(1)


def test_many_at_once(stack: Stack) -> None:
    """Forty concurrent calls of the asynchronous SDK, streamed and not, are all charged once."""

    async def one(sdk: AsyncOpenAI, number: int) -> None:
        messages: list[Any] = [{"role": "user", "content": f"question {number}"}]
        if number % 2:
            async for _ in await sdk.chat.completions.create(model=MODEL, messages=messages, stream=True):
                pass
        else:
            await sdk.chat.completions.create(model=MODEL, messages=messages)

    async def all_of_them() -> None:
        async with AsyncOpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0) as sdk:
            await asyncio.gather(*(one(sdk, number) for number in range(40)))

    asyncio.run(all_of_them())
    stack.agrees(40)


@one_store
def test_tools_and_their_results(stack: Stack) -> None:
    """A tool call and the call that brings its result are two calls, both charged."""
    sdk = client(stack)
    first = sdk.chat.completions.create(model=MODEL, messages=HELLO, tools=WEATHER)
    call = first.choices[0].message.tool_calls
    assert call is not None
    assert call[0].type == "function"
    assert call[0].function.name == "weather"
    result = {"role": "tool", "tool_call_id": call[0].id, "content": "sunny"}
    sdk.chat.completions.create(model=MODEL, messages=[*HELLO, first.choices[0].message, result], tools=WEATHER)

    stack.agrees(2)


@one_store
def test_structured_output(stack: Stack) -> None:
    """The SDK's parsed answers work through the gateway."""
    answer = client(stack).chat.completions.parse(model=MODEL, messages=HELLO, response_format=Answer)

    assert answer.choices[0].message.parsed == Answer(city="amber", population=7)
    stack.agrees(1)


@one_store
def test_responses(stack: Stack) -> None:
    """Responses, whole and streamed, reasoning included, are charged as the provider counts."""
    sdk = client(stack)
    whole = sdk.responses.create(model="gpt-5-mini", input="explain rain", reasoning={"effort": "low"})
    with sdk.responses.stream(model="gpt-5-mini", input="explain snow") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()

    assert whole.usage is not None
    assert whole.usage.output_tokens_details.reasoning_tokens > 0
    assert kinds[-1] == "response.completed"
    assert final.usage is not None
    stack.agrees(2)


@one_store
def test_embeddings(stack: Stack) -> None:
    """Embeddings are charged for their input alone."""
    answer = client(stack).embeddings.create(model="text-embedding-3-small", input=["one text", "another text"])

    assert len(answer.data) == 2
    stack.agrees(1)
    assert stack.events()[0].quantities["output_tokens"] == 0


@one_store
def test_cached_tokens_cost_less(stack: Stack) -> None:
    """Cache reads are taken out of the input and priced by themselves."""
    long: list[Any] = [{"role": "user", "content": "word " * 400}]
    client(stack).chat.completions.create(model=MODEL, messages=long, extra_headers={"x-sim-cached-tokens": "300"})

    stack.agrees(1)
    lines = {line["unit"]: line for line in stack.explain(stack.events()[0].event_id)["lines"]}
    assert lines["cache_read_tokens"]["quantity"] == 300
    assert lines["cache_read_tokens"]["unit_price_per_million"] == "0.075"


@one_store
def test_several_choices(stack: Stack) -> None:
    """With n choices the hold is n times as large and the charge is what the provider counted."""
    raw = client(stack).chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, n=3, max_tokens=20)
    one = client(stack).chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, n=1, max_tokens=20)

    assert float(raw.headers["x-pertoken-held"]) > 1.5 * float(one.headers["x-pertoken-held"])
    stack.agrees(2)


@one_store
def test_served_tier_is_priced(stack: Stack) -> None:
    """An answer that was served at the priority tier costs the priority price."""
    sdk = client(stack)
    sdk.chat.completions.create(
        model="gpt-5.6-sol", messages=HELLO, service_tier="priority", extra_headers={"x-sim-service-tier": "priority"}
    )

    [event] = stack.settled(1)
    rows = {line["unit"]: line for line in stack.explain(event.event_id)["lines"]}
    assert event.service_tier == "priority"
    assert rows["output_tokens"]["unit_price_per_million"] == "40"
    assert own(event).overrun_picos == 0


@one_store
def test_provider_errors_reach_the_sdk_and_cost_nothing(stack: Stack) -> None:
    """A provider's 500 and 429 raise the SDK's own exceptions; the hold is gone and nothing is charged."""
    sdk = client(stack)
    with pytest.raises(openai.InternalServerError):
        sdk.chat.completions.create(model=MODEL, messages=HELLO, extra_headers={"x-sim-fault": "http_500"})
    with pytest.raises(openai.RateLimitError) as raised:
        sdk.chat.completions.create(model=MODEL, messages=HELLO, extra_headers={"x-sim-fault": "http_429"})

    assert raised.value.response.headers["retry-after"] == "1"
    assert stack.settled(0) == []
    assert stack.differences() == []


def test_the_sdk_retries_and_pays_once(stack: Stack) -> None:
    """The SDK's own retry after a provider's error leads to one charge."""
    sdk = client(stack, max_retries=2)
    sdk.chat.completions.create(model=MODEL, messages=HELLO, extra_headers={"x-sim-fault": "http_500*1"})

    stack.agrees(1)


def test_the_sdks_time_out_is_a_hang_up(stack: Stack) -> None:
    """A client that times out while the provider works is charged for what the provider made."""
    sdk = client(stack, timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        sdk.chat.completions.create(model=MODEL, messages=HELLO, extra_headers={"x-sim-latency-ms": "900"})

    stack.agrees(1)


def test_a_hang_up_in_a_stream_is_settled_on_real_usage(stack: Stack) -> None:
    """The provider is read to its end for a client that left; the charge is final, not an estimate."""
    stream = client(stack).chat.completions.create(
        model=MODEL,
        messages=HELLO,
        stream=True,
        extra_headers={"x-sim-output-tokens": "60", "x-sim-chunk-ms": "5"},
    )
    with contextlib.closing(stream):
        for _, _chunk in zip(range(4), stream, strict=False):
            pass

    stack.agrees(1)
    assert stack.events()[0].completeness == "final"
    assert stack.events()[0].quantities["output_tokens"] == 60


@one_store
def test_unknown_fields_pass_through(stack: Stack) -> None:
    """What we do not know reaches the provider as it was sent, key secrets excepted."""
    client(stack).chat.completions.create(
        model=MODEL,
        messages=HELLO,
        extra_body={"brand_new": {"nested": [1, 2.50, None, "ü"]}},
        extra_headers={"x-brand-new": "kept", "x-pertoken-customer": "acme"},
    )

    call = stack.sim_calls()[0]
    assert call["body"]["brand_new"] == {"nested": [1, 2.5, None, "ü"]}
    assert call["headers"]["x-brand-new"] == "kept"
    assert not [name for name in call["headers"] if name.startswith("x-pertoken")]


@one_store
def test_models_are_listed(stack: Stack) -> None:
    """The models endpoint lists what can be priced; an unknown key is refused there too."""
    assert MODEL in {model.id for model in client(stack).models.list()}
    with pytest.raises(openai.AuthenticationError):
        OpenAI(base_url=f"{stack.gateway.url}/v1", api_key="sk-pt-wrong", max_retries=0).models.list()


def test_attribution(stack: Stack) -> None:
    """Customer, user, conversation and tags come from headers and body; other gateways' names work too."""
    client(stack).chat.completions.create(
        model=MODEL,
        messages=HELLO,
        user="ann",
        extra_headers={
            "x-pertoken-customer": "acme",
            "x-pertoken-conversation": "c-1",
            "x-pertoken-tags": "feature=search, env=prod",
            "Helicone-Property-Plan": "gold",
        },
    )

    attribution = stack.settled(1)[0].attribution
    assert (attribution.customer, attribution.user, attribution.conversation) == ("acme", "ann", "c-1")
    assert attribution.tags == (("env", "prod"), ("feature", "search"), ("plan", "gold"))
