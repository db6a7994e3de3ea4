"""The official Google Gen AI SDK through the gateway."""

import asyncio
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from tests.e2e.conftest import Stack, one_store
from tests.factories import own

pytestmark = one_store

MODEL = "gemini-2.5-flash"
PROMPT = "say hello in five languages"


def client(stack: Stack, secret: str | None = None) -> genai.Client:
    """Return the SDK pointed at the gateway."""
    return genai.Client(api_key=secret or stack.secret, http_options={"base_url": stack.gateway.url})


def test_generate_content(stack: Stack) -> None:
    """An answer is charged as the provider counts."""
    sdk = client(stack)
    answer = sdk.models.generate_content(model=MODEL, contents=PROMPT)

    assert answer.text
    stack.agrees(1)


def test_streamed(stack: Stack) -> None:
    """Of a stream whose every piece carries usage so far, the last one counts."""
    sdk = client(stack)
    pieces = list(sdk.models.generate_content_stream(model=MODEL, contents=PROMPT))

    assert len(pieces) > 1
    stack.agrees(1)


def test_thinking_tools_and_schema(stack: Stack) -> None:
    """Thoughts are output beside the candidates; function calls and schemas work."""
    sdk = client(stack)
    thinking: Any = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(thinking_budget=200))
    sdk.models.generate_content(model=MODEL, contents=PROMPT, config=thinking)
    list(sdk.models.generate_content_stream(model=MODEL, contents=PROMPT, config=thinking))
    weather = types.FunctionDeclaration(
        name="weather", parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}}
    )
    tooled: Any = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[weather])])
    called = sdk.models.generate_content(model=MODEL, contents=PROMPT, config=tooled)
    structured: Any = types.GenerateContentConfig(
        response_mime_type="application/json",
        response_json_schema={"type": "object", "properties": {"city": {"type": "string"}}},
    )
    shaped = sdk.models.generate_content(model=MODEL, contents=PROMPT, config=structured)

    assert called.function_calls
    assert shaped.text == '{"city":"amber"}'
    stack.agrees(4)
    assert stack.events()[0].quantities["reasoning_tokens"] > 0


def test_async(stack: Stack) -> None:
    """Ten concurrent asynchronous calls are all charged once."""

    async def scene() -> None:
        sdk = client(stack)
        await asyncio.gather(*(sdk.aio.models.generate_content(model=MODEL, contents=PROMPT) for _ in range(10)))

    asyncio.run(scene())
    stack.agrees(10)


def test_counting_is_free_and_embedding_is_not(stack: Stack) -> None:
    """CountTokens passes through; embeddings, whose answers carry no usage, are counted and marked estimated."""
    sdk = client(stack)
    counted = sdk.models.count_tokens(model=MODEL, contents=PROMPT)
    assert counted.total_tokens
    assert stack.settled(0) == []
    made = sdk.models.embed_content(model="gemini-embedding-001", contents=PROMPT)

    assert made.embeddings
    [event] = stack.settled(1)
    assert event.completeness == "estimated"
    assert event.cost_picos > 0


def test_errors_in_its_own_format(stack: Stack) -> None:
    """An unknown key, a provider's error and an exceeded budget raise the SDK's own exceptions."""
    sdk, nobody = client(stack), client(stack, "nobody")
    with pytest.raises(errors.ClientError) as unknown:
        nobody.models.generate_content(model=MODEL, contents=PROMPT)
    assert unknown.value.code == 401
    stack.set_budget("0.00001", window="day")
    capped: Any = types.GenerateContentConfig(max_output_tokens=5_000)
    with pytest.raises(errors.ClientError) as refused:
        sdk.models.generate_content(model=MODEL, contents=PROMPT, config=capped)

    assert refused.value.code == 402
    assert refused.value.status == "RESOURCE_EXHAUSTED"
    assert stack.settled(0) == []


def test_the_output_cap_is_written_where_none_was(stack: Stack) -> None:
    """When a budget affords less than the model could make, the cap goes into the request and is said."""
    stack.set_budget("0.002", window="day")
    sdk = client(stack)
    sdk.models.generate_content(model=MODEL, contents=PROMPT)

    sent = stack.sim_calls()[0]["body"]["generationConfig"]["maxOutputTokens"]
    [event] = stack.settled(1)
    assert own(event).changed == f"output_max={sent}"
    assert 0 < sent < 2_000
    assert own(event).overrun_picos == 0
