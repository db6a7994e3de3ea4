"""The official Anthropic SDK through the gateway."""

import asyncio
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from tests.e2e.conftest import Stack, one_store
from tests.factories import own

pytestmark = one_store

MODEL = "claude-opus-4-8"
HELLO: list[Any] = [{"role": "user", "content": "say hello in five languages"}]
TOOL: list[Any] = [
    {
        "name": "weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


def client(stack: Stack, **options: Any) -> Anthropic:
    """Return the SDK pointed at the gateway."""
    return Anthropic(base_url=stack.gateway.url, api_key=stack.secret, **{"max_retries": 0, **options})


def test_messages(stack: Stack) -> None:
    """A message is answered and charged as the provider counts."""
    answer = client(stack).messages.create(model=MODEL, max_tokens=200, messages=HELLO)

    assert answer.content[0].type == "text"
    stack.agrees(1)


def test_streamed(stack: Stack) -> None:
    """A streamed message carries its final usage to the client and to the ledger."""
    with client(stack).messages.stream(model=MODEL, max_tokens=200, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert text
    stack.agrees(1)
    assert stack.events()[0].quantities["output_tokens"] == final.usage.output_tokens


def test_cache_reads_and_writes(stack: Stack) -> None:
    """Cached input is counted inside all input: one hour and five minutes apart, each at its own price."""
    system: list[Any] = [
        {"type": "text", "text": "rules " * 500, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    sdk = client(stack)
    for stream in (False, True):
        made = sdk.messages.create(
            model=MODEL,
            max_tokens=100,
            system=system,
            messages=HELLO,
            stream=stream,
            extra_headers={"x-sim-cached-tokens": "200"},
        )
        if stream:
            list(made)

    stack.agrees(2)
    for event in stack.events():
        assert event.quantities["cache_write_1h_tokens"] == event.quantities["cache_write_tokens"] > 0
        assert own(event).overrun_picos == 0


def test_tools_and_thinking(stack: Stack) -> None:
    """Tool use and thinking are output; thinking is told apart."""
    sdk = client(stack)
    tool = sdk.messages.create(model=MODEL, max_tokens=200, messages=HELLO, tools=TOOL)
    sdk.messages.create(
        model=MODEL, max_tokens=2_000, messages=HELLO, thinking={"type": "enabled", "budget_tokens": 1_024}
    )

    assert tool.stop_reason == "tool_use"
    stack.agrees(2)
    assert stack.events()[1].quantities["reasoning_tokens"] > 0


def test_count_tokens_is_free(stack: Stack) -> None:
    """Counting tokens passes through, needs a key, and is not charged."""
    counted = client(stack).messages.count_tokens(model=MODEL, messages=HELLO)

    assert counted.input_tokens > 0
    assert stack.settled(0) == []


def test_async_and_bearer_tokens(stack: Stack) -> None:
    """The asynchronous SDK works, with its key as a bearer token too, as coding agents send it."""

    async def scene() -> None:
        async with AsyncAnthropic(base_url=stack.gateway.url, auth_token=stack.secret, max_retries=0) as sdk:
            await asyncio.gather(*(sdk.messages.create(model=MODEL, max_tokens=50, messages=HELLO) for _ in range(10)))

    asyncio.run(scene())
    stack.agrees(10)


def test_errors_in_its_own_format(stack: Stack) -> None:
    """An unknown key, a provider's error and an exceeded budget raise the SDK's own exceptions."""
    with pytest.raises(anthropic.AuthenticationError):
        Anthropic(base_url=stack.gateway.url, api_key="nobody", max_retries=0).messages.create(
            model=MODEL, max_tokens=10, messages=HELLO
        )
    with pytest.raises(anthropic.RateLimitError):
        client(stack).messages.create(
            model=MODEL, max_tokens=10, messages=HELLO, extra_headers={"x-sim-fault": "http_429"}
        )
    stack.set_budget("0.00001", window="day")
    with pytest.raises(anthropic.APIStatusError) as raised:
        client(stack).messages.create(model=MODEL, max_tokens=5_000, messages=HELLO)

    assert raised.value.status_code == 402
    assert "budget" in raised.value.message
    assert stack.settled(0) == []


def test_a_hang_up_is_settled_on_real_usage(stack: Stack) -> None:
    """A client that leaves in the middle of a stream is charged for the whole answer."""
    made = client(stack).messages.create(
        model=MODEL,
        max_tokens=500,
        messages=HELLO,
        stream=True,
        extra_headers={"x-sim-output-tokens": "50", "x-sim-chunk-ms": "5"},
    )
    for _, _event in zip(range(5), made, strict=False):
        pass
    made.close()

    stack.agrees(1)
    assert stack.events()[0].quantities["output_tokens"] == 50


def test_claude_code_names_user_and_conversation(stack: Stack) -> None:
    """A session that Claude Code names in the user's id is the call's conversation; our own headers win over it."""
    named: Any = {"user_id": f"user_{'a1' * 32}_account__session_11111111-2222-3333-4444-555555555555"}
    ours = {"x-pertoken-user": "ann", "x-pertoken-conversation": "of-ann"}
    for headers in ({}, ours):
        client(stack).messages.create(model=MODEL, max_tokens=50, messages=HELLO, metadata=named, extra_headers=headers)

    told = [(one.attribution.user, one.attribution.conversation) for one in stack.events()]
    assert told == [("a1" * 32, "11111111-2222-3333-4444-555555555555"), ("ann", "of-ann")]
