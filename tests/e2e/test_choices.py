"""What a client chooses beside its model, through a real gateway: held for before anything is sent, or refused."""

import json
import urllib.error
import urllib.request
from decimal import Decimal
from typing import Any

from tests.e2e.conftest import Stack
from tests.factories import own

HELLO = [{"role": "user", "content": "hi"}]
CHAT = "/v1/chat/completions"
GEMINI = "/v1beta/models/gemini-3.8-flash-tts:generateContent"


def ask(stack: Stack, path: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, str]]:
    """Return status and headers of a call."""
    sent = {"authorization": f"Bearer {stack.secret}", "content-type": "application/json", **headers}
    request = urllib.request.Request(stack.gateway.url + path, json.dumps(body).encode(), sent)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read()
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}


def test_another_model_in_the_body_is_held_for(stack: Stack) -> None:
    """A call that names a dearer model beside its own does not fit a budget that only the cheap one fits."""
    stack.set_budget("0.001")
    body = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 16}

    assert ask(stack, CHAT, body)[0] == 200
    status, headers = ask(stack, CHAT, {**body, "models": ["o1-pro"]})

    assert (status, headers["x-pertoken-refused"]) == (402, "budget_exceeded")
    assert stack.served()["calls"] == 1


def test_what_a_call_names_is_held_and_sent_on(stack: Stack) -> None:
    """With room enough the call is served, its list still in the body, and the hold covers the dearest of it."""
    body = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 16, "models": ["o1-pro"]}
    status, headers = ask(stack, CHAT, body)

    assert status == 200
    assert Decimal(headers["x-pertoken-held"]) > 16 * Decimal("0.0006")  # o1-pro's output is 600 dollars a million
    assert own(stack.settled(1)[0]).overrun_picos == 0


def test_a_tier_in_a_header_is_held_for(stack: Stack) -> None:
    """Vertex AI's header for a tier is understood, also in the query; a tier without a price is refused, unsent."""
    body = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 100}}
    header = "x-vertex-ai-llm-shared-request-type"

    plain = ask(stack, GEMINI, body)[1]["x-pertoken-held"]
    priority = ask(stack, GEMINI, body, **{header: "priority"})[1]["x-pertoken-held"]
    status, headers = ask(stack, GEMINI, body, **{header: "brand-new"})

    assert Decimal(priority) > Decimal(plain) * Decimal("1.5")
    assert ask(stack, f"{GEMINI}?X-Vertex-AI-LLM-Shared-Request-Type=priority", body)[1]["x-pertoken-held"] == priority
    assert (status, headers["x-pertoken-refused"]) == (402, "price_unknown")
    assert stack.served()["calls"] == 3
    assert [dict(event.context).get("service_tier") for event in stack.settled(3)] == [None, *["priority"] * 2]
