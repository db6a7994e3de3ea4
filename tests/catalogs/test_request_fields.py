"""The reviewed list of request fields against the request types that the official SDKs publish: none is unknown."""

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from anthropic.types import message_create_params
from anthropic.types.beta import message_create_params as beta_message_create_params
from google.genai import types as genai_types
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from pertoken.catalogs import request_fields
from pertoken.wire.request_rules import Where

RULES = request_fields.read()

# Fields of an SDK's call that are no field of the request's body: headers, or settings of the SDK itself.
NOT_SENT = frozenset(
    {"betas", "httpOptions", "shouldReturnHttpResponse", "automaticFunctionCalling", "automaticContinuation"}
)
# Gemini's settings that stand beside `generationConfig`, not inside it.
BESIDE_CONFIG = frozenset(
    {
        "systemInstruction", "safetySettings", "tools", "toolConfig", "labels", "cachedContent", "modelArmorConfig",
        "serviceTier", "store", "continuationToken",
    }
)  # fmt: skip
OPENAI, ANTHROPIC, GOOGLE = "openai", "anthropic", "google"

BODIES: list[tuple[str, str, tuple[Any, ...]]] = [
    ("openai.chat", OPENAI, (completion_create_params.CompletionCreateParamsStreaming,
                             completion_create_params.CompletionCreateParamsNonStreaming)),
    ("openai.responses", OPENAI, (response_create_params.ResponseCreateParamsStreaming,
                                  response_create_params.ResponseCreateParamsNonStreaming)),
    ("openai.embeddings", OPENAI, (embedding_create_params.EmbeddingCreateParams,)),
    ("anthropic.messages", ANTHROPIC, (message_create_params.MessageCreateParamsStreaming,
                                       message_create_params.MessageCreateParamsNonStreaming,
                                       beta_message_create_params.MessageCreateParamsStreaming,
                                       beta_message_create_params.MessageCreateParamsNonStreaming)),
]  # fmt: skip


def hints(one: Any) -> dict[str, Any]:
    """Return a request type's fields."""
    return get_type_hints(one)


def objects(hint: Any) -> Iterator[Any]:
    """Yield every typed dictionary that a field may hold."""
    if get_origin(hint) is not None:
        for part in get_args(hint):
            yield from objects(part)
    elif hasattr(hint, "__required_keys__"):
        yield hint


def kinds(hint: Any) -> set[str]:
    """Return the values of `type` of all that a field may hold."""
    return {kind for one in objects(hint) for kind in texts(hints(one).get("type"))}


def texts(hint: Any) -> Iterator[str]:
    """Yield the literal texts of a type."""
    for part in get_args(hint):
        if isinstance(part, str):
            yield part
        else:
            yield from texts(part)


def camel(name: str) -> str:
    """Return a name as the API spells it."""
    return re.sub("_([a-z])", lambda found: found[1].upper(), name)


@pytest.mark.parametrize(("wire_format", "provider", "published"), BODIES, ids=[body[0] for body in BODIES])
def test_every_published_field_is_known(wire_format: str, provider: str, published: tuple[Any, ...]) -> None:
    """Each top-level field of a published request has a rule; the list of them is not empty."""
    table = RULES.of(wire_format, provider)
    fields = {field for one in published for field in hints(one)} - NOT_SENT

    assert len(fields) > 4
    assert sorted(field for field in fields if table.find(Where.BODY, field) is None) == []


@pytest.mark.parametrize(
    ("wire_format", "provider", "published"), BODIES[:2] + BODIES[3:], ids=["chat", "responses", "messages"]
)
def test_every_published_tool_is_known(wire_format: str, provider: str, published: tuple[Any, ...]) -> None:
    """Each type of tool that a published request can have has a rule."""
    table = RULES.of(wire_format, provider)
    found = {kind for one in published for kind in kinds(hints(one)["tools"])}

    assert len(found) > 1
    assert sorted(kind for kind in found if table.find(Where.TOOL, kind) is None) == []


@pytest.mark.parametrize(
    ("wire_format", "provider", "field"),
    [
        ("openai.chat", OPENAI, "web_search_options"),
        ("openai.responses", OPENAI, "context_management"),
        ("openai.responses", OPENAI, "reasoning"),
        ("anthropic.messages", ANTHROPIC, "fallbacks"),
        ("anthropic.messages", ANTHROPIC, "context_management"),
    ],
)
def test_fields_inside_those_that_steer_are_looked_at(wire_format: str, provider: str, field: str) -> None:
    """What stands inside a field that steers is looked at, too."""
    assert field in RULES.of(wire_format, provider).outer


def test_every_fallback_field_is_known() -> None:
    """A fallback may set what the request sets: each such field is bounded, or has a rule."""
    from anthropic.types.beta import BetaFallbackParam

    table = RULES.of("anthropic.messages", ANTHROPIC)
    inner = set(hints(BetaFallbackParam)) - {"model"}

    assert sorted(field for field in inner if table.find(Where.BODY, f"fallbacks.{field}") is None) == []


def test_every_reasoning_field_is_known() -> None:
    """How a model reasons decides on its tokens; a mode with a price of its own would be found here."""
    from openai.types.shared_params import Reasoning

    table = RULES.of("openai.responses", OPENAI)

    assert sorted(field for field in hints(Reasoning) if table.find(Where.BODY, f"reasoning.{field}") is None) == []


def test_every_setting_of_gemini_is_known() -> None:
    """Each setting of a published request has a rule, under either spelling, where it stands in the body."""
    table = RULES.of("gemini.generate", GOOGLE)
    settings = {camel(name) for name in genai_types.GenerateContentConfig.model_fields} - NOT_SENT
    settings |= {camel(name) for name in genai_types.GenerationConfig.model_fields}
    beside = settings & BESIDE_CONFIG

    assert len(beside) == len(BESIDE_CONFIG)
    assert sorted(name for name in beside if table.find(Where.BODY, name) is None) == []
    inside = {f"generationConfig.{name}" for name in settings - BESIDE_CONFIG}
    assert sorted(name for name in inside if table.find(Where.BODY, name) is None) == []


def test_every_tool_of_gemini_is_known() -> None:
    """Each tool of a published request has a rule under either spelling."""
    table = RULES.of("gemini.generate", GOOGLE)
    tools = [spelt for name in genai_types.Tool.model_fields for spelt in (name, camel(name))]

    assert len(tools) > 10
    assert sorted(tool for tool in tools if table.find(Where.TOOL, tool) is None) == []


def test_every_setting_of_gemini_embeddings_is_known() -> None:
    """Each setting of a published request for embeddings has a rule."""
    table = RULES.of("gemini.embed", GOOGLE)
    settings = {camel(name) for name in genai_types.EmbedContentConfig.model_fields} - NOT_SENT

    assert sorted(name for name in settings if table.find(Where.BODY, name) is None) == []


CHAT, RESPONSE, MESSAGE = (hints(BODIES[at][2][-1]) for at in (0, 1, 3))


@pytest.mark.parametrize(
    "hint", [CHAT["service_tier"], RESPONSE["service_tier"], MESSAGE["service_tier"], MESSAGE["speed"]]
)
def test_published_tiers_are_those_that_were_reviewed(hint: Any) -> None:
    """A new tier or speed makes this fail, so that somebody looks whether it may be served without being asked for."""
    reviewed = {"auto", "default", "flex", "scale", "priority", "fast", "ultrafast", "standard_only", "standard"}

    assert set(texts(hint)) <= reviewed
    assert set(texts(hint)) & reviewed
