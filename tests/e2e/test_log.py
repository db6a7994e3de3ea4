"""What a real gateway logs of its calls."""

import contextlib
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI
from tests.e2e.conftest import Process, Stack, stack_of_its_own

MODEL = "gpt-4o-mini"
SPOKEN = "the-prompt-that-nobody-may-read"
HELLO: list[Any] = [{"role": "user", "content": f"hello {SPOKEN}"}]


def client(stack: Stack, secret: str | None = None) -> OpenAI:
    """Return the SDK pointed at the gateway."""
    return OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=secret or stack.secret, max_retries=0)


def talk(stack: Stack) -> None:
    """Make a call, a streamed one, one that fails, one without a key of ours, one with a model that nobody knows."""
    chat = client(stack).chat.completions
    chat.create(model=MODEL, messages=HELLO, extra_headers={"x-pertoken-customer": "acme corp"})
    list(chat.create(model=MODEL, messages=HELLO, stream=True))
    for secret, model, fault in (
        (None, MODEL, {"x-sim-fault": "http_500"}),
        ("sk-wrong-and-long-enough", MODEL, {}),
        (None, "nobody-knows", {}),
    ):
        with pytest.raises(APIStatusError):
            client(stack, secret).chat.completions.create(model=model, messages=HELLO, extra_headers=fault)


@pytest.mark.parametrize("form", ["text", "json", "off"])
def test_every_call_has_one_line(form: str, simulator: Process, tmp_path: Path) -> None:
    """Each call and each refusal has one line when the gateway has ended on SIGTERM, in their order; off, none has."""
    with stack_of_its_own(tmp_path, simulator, PERTOKEN_LOG=form) as stack:
        talk(stack)
        events = stack.events()
        stack.gateway.stop()
        lines = [
            one for one in stack.log().splitlines() if " call call_" in one or " call - " in one or '"call_id"' in one
        ]
        log = stack.log()

    assert SPOKEN not in log
    if form == "off":
        assert lines == []
        return
    assert len(lines) == 5
    if form == "text":
        assert [one.split()[3:5] for one in lines] == [
            ["ok", "200"], ["ok", "200"], ["failed", "500"], ["refused", "401"], ["refused", lines[4].split()[4]],
        ]  # fmt: skip
        assert [f"cost={stack_cost(one)}USD" in text for one, text in zip(events, lines, strict=False)] == [True, True]
        assert ' customer="acme corp" ' in lines[0]
    else:
        said = [json.loads(one) for one in lines]
        assert [one["status"] for one in said] == ["ok", "ok", "failed", "refused", "refused"]
        assert [one["key"] for one in said] == [stack.key_id] * 3 + [None, stack.key_id]
        assert [one["model"] for one in said] == [MODEL] * 3 + [None, "nobody-knows"]
        assert [one["call_id"] for one in said[:2]] == [one.event_id for one in events]
        assert [one["cost"] for one in said[:2]] == [stack_cost(one) for one in events]
        assert said[3]["refusal"] == "unknown_key"


def stack_cost(event: Any) -> str:
    """Return what an event cost, as the log writes it."""
    return f"{event.cost_picos / 10**12:.12f}".rstrip("0").rstrip(".")


def test_a_hang_up_is_told(simulator: Process, tmp_path: Path) -> None:
    """A call whose client hung up is logged as that with what it cost, and its event says so."""
    with stack_of_its_own(tmp_path, simulator, PERTOKEN_LOG="json") as stack:
        stream = client(stack).chat.completions.create(
            model=MODEL, messages=HELLO, stream=True,
            extra_headers={"x-sim-chunk-ms": "20", "x-sim-output-tokens": "50"},
        )  # fmt: skip
        with contextlib.closing(stream):
            next(iter(stream))
        [event] = stack.settled(1)
        stack.gateway.stop()
        [said] = [json.loads(one) for one in stack.log().splitlines() if '"call_id"' in one]

    assert said["status"] == "hung_up"
    assert said["cost"] == stack_cost(event)
    assert (event.reason, str(event.completeness)) == ("the client hung up", "final")


def test_a_failed_attempt_that_is_charged_is_in_the_line(simulator: Process, tmp_path: Path) -> None:
    """Where the provider may charge for an attempt that failed, the line of the refused call says what that cost."""
    fast = {"PERTOKEN_LIMITS__FIRST_BYTE_MS": "300", "PERTOKEN_LOG": "json"}
    with stack_of_its_own(tmp_path, simulator, **fast) as stack:
        request = urllib.request.Request(
            f"{stack.gateway.url}/v1/chat/completions",
            json.dumps({"model": MODEL, "messages": HELLO, "max_tokens": 5}).encode(),
            {"authorization": f"Bearer {stack.secret}", "x-sim-fault": "slow_first_byte", "x-sim-latency-ms": "5000"},
        )
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request, timeout=60)
        [event] = stack.settled(1)
        stack.gateway.stop()
        [said] = [json.loads(one) for one in stack.log().splitlines() if '"call_id"' in one]

    assert (said["status"], said["refusal"]) == ("failed", "provider_timeout")
    assert said["cost"] == stack_cost(event)
    assert str(event.reason).startswith("the provider failed: ")
