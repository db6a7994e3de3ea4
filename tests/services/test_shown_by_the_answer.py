"""What an answer shows and its usage does not tell: searches and code that were run, and usage where no stream came."""

from typing import Any

import pytest
from tests.services.stand_in import events, settled, streamed, whole

from pertoken.core.events import Event
from pertoken.core.usage import Completeness
from pertoken.services.extract import extract_usage

RESPONSES = {"input_tokens": 20, "output_tokens": 50, "total_tokens": 70}
MESSAGES = {"input_tokens": 20, "output_tokens": 50}
GEMINI = {"promptTokenCount": 20, "candidatesTokenCount": 50, "totalTokenCount": 70}
CHAT = {"prompt_tokens": 20, "completion_tokens": 50, "total_tokens": 70}

SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}
PAGE = {"type": "web_search_call", "status": "completed", "action": {"type": "open_page"}}
CODE = {"type": "code_interpreter_call", "status": "completed", "container_id": "c1"}
ITEMS = (SEARCH, PAGE, SEARCH, CODE, CODE)
BEGUN = {"type": "response.created", "response": {"model": "m-1"}}
DONE = [{"type": "response.output_item.done", "output_index": at, "item": item} for at, item in enumerate(ITEMS)]

ASKED = [{"type": "server_tool_use", "id": f"s{at}", "name": "web_search", "input": {}} for at in range(3)]
FAILED = {"type": "web_search_tool_result", "tool_use_id": "s2", "content": {"type": "web_search_tool_result_error"}}
BLOCKS = [*ASKED, FAILED, {"type": "server_tool_use", "id": "f", "name": "web_fetch", "input": {}}]
STARTED = {"type": "message_start", "message": {"model": "m-1", "usage": {"input_tokens": 20, "output_tokens": 1}}}
SHOWN = [{"type": "content_block_start", "index": at, "content_block": block} for at, block in enumerate(BLOCKS)]
STOP: list[dict[str, Any]] = [{"type": "message_delta", "usage": {"output_tokens": 50}}, {"type": "message_stop"}]

GROUNDED = {"groundingMetadata": {"webSearchQueries": ["a", "b"]}, "content": {"parts": [{"text": "hi"}]}}


def completed(**fields: Any) -> dict[str, Any]:
    """Return the event that ends a response."""
    return {"type": "response.completed", "response": {"model": "m-1", **fields}}


CASES: dict[str, tuple[str, bytes, bool, dict[str, int]]] = {
    "a stream of Responses that is cut": (
        "openai.responses", events([BEGUN, *DONE]), True, {"web_searches": 2, "code_sessions": 1},
    ),
    "an end that lists no items": (
        "openai.responses", events([BEGUN, *DONE, completed(usage=RESPONSES, output=[])]), True,
        {"web_searches": 2, "code_sessions": 1},
    ),
    "an end that lists its items": (
        "openai.responses", events([BEGUN, *DONE, completed(usage=RESPONSES, output=ITEMS)]), True,
        {"web_searches": 2, "code_sessions": 1},
    ),
    "an end without usage": (
        "openai.responses", events([BEGUN, *DONE, completed(output=[])]), True, {"web_searches": 2, "code_sessions": 1},
    ),
    "a whole response without usage": (
        "openai.responses", whole("openai.responses", None, output=ITEMS), False,
        {"web_searches": 2, "code_sessions": 1},
    ),
    "a message that tells no searches": (
        "anthropic.messages", whole("anthropic.messages", MESSAGES, content=BLOCKS), False, {"web_searches": 2},
    ),
    "a message that tells one search": (
        "anthropic.messages",
        whole("anthropic.messages", MESSAGES | {"server_tool_use": {"web_search_requests": 1}}, content=BLOCKS),
        False, {"web_searches": 1},
    ),
    "a message without usage": (
        "anthropic.messages", whole("anthropic.messages", None, content=BLOCKS), False, {"web_searches": 2},
    ),
    "a stream of a message that is cut": (
        "anthropic.messages", events([STARTED, *SHOWN]), True, {"web_searches": 2},
    ),
    "a stream of a message that tells no searches": (
        "anthropic.messages", events([STARTED, *SHOWN, *STOP]), True, {"web_searches": 2},
    ),
    "a whole answer of Gemini without usage": (
        "gemini.generate", whole("gemini.generate", None, candidates=[GROUNDED]), False, {"web_searches": 2},
    ),
    "a stream of Gemini without usage": (
        "gemini.generate", events([{"modelVersion": "m-1", "candidates": [GROUNDED]}]), True, {"web_searches": 2},
    ),
}  # fmt: skip
PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}


def call(api: str, answer: bytes, *, stream: bool) -> Event:
    """Return the event of one call of `api` at its own provider."""
    return settled(api, PROVIDERS[api.partition(".")[0]], answer, stream=stream)


@pytest.mark.parametrize("name", CASES)
def test_what_was_run_is_charged(name: str) -> None:
    """What an answer shows to have been run is charged, where its usage does not say how much that was."""
    api, answer, is_stream, run = CASES[name]
    event = call(api, answer, stream=is_stream)
    assert {unit: event.quantities.get(unit) for unit in run} == run
    assert {unit for unit, *_ in event.lines} >= set(run)


@pytest.mark.parametrize("name", CASES)
def test_extract_tells_what_was_run(name: str) -> None:
    """The same answers tell the same searches and code sessions to `pertoken extract`."""
    api, answer, is_stream, run = CASES[name]
    provider = PROVIDERS[api.partition(".")[0]]
    usage = extract_usage(api, provider, None if is_stream else answer, answer.decode() if is_stream else None)["usage"]
    assert {unit: usage.get(unit) for unit in run} == run


@pytest.mark.parametrize(
    ("api", "usage"),
    [("openai.chat", CHAT), ("openai.responses", RESPONSES), ("anthropic.messages", MESSAGES)],
)
def test_a_whole_answer_to_a_stream(api: str, usage: dict[str, int]) -> None:
    """A provider that answers a call for a stream with one whole answer is charged by the usage in it."""
    event = call(api, whole(api, usage), stream=True)
    assert (event.quantities, event.cost_picos) == _plain(api, usage)
    assert event.completeness is Completeness.FINAL


def _plain(api: str, usage: dict[str, int]) -> tuple[Any, int]:
    event = call(api, streamed(api, usage), stream=True)
    return event.quantities, event.cost_picos
