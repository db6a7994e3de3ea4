"""Providers that stall, cut, lie and send garbage; clients that break off: nothing leaks, nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI
from tests.e2e.conftest import HASTY, SUMS, Process, Stack, one_store, stack_of_its_own
from tests.factories import own

from pertoken.core.events import EventStatus

MODEL = "gpt-4o-mini"
HELLO: list[Any] = [{"role": "user", "content": "say hello in five languages"}]


@pytest.fixture
def hasty(tmp_path: Path, simulator: Process) -> Iterator[Stack]:
    """Return a gateway that does not wait long for its providers."""
    with stack_of_its_own(tmp_path, simulator, **HASTY) as made:
        yield made


def client(stack: Stack) -> OpenAI:
    """Return the SDK pointed at the gateway."""
    return OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0)


def ask(stack: Stack, fault: str, *, stream: bool = False, **more: Any) -> Any:
    """Make one chat call with a fault; read a stream to its end."""
    made = client(stack).chat.completions.create(
        model=MODEL, messages=HELLO, stream=stream, extra_headers={"x-sim-fault": fault}, **more
    )
    return list(made) if stream else made


@one_store
def test_a_provider_that_closes_before_it_answers(stack: Stack) -> None:
    """502 in the client's format, the hold is voided, nothing is charged, the log names the call."""
    with pytest.raises(openai.InternalServerError) as raised:
        ask(stack, "close_before_headers")

    assert raised.value.status_code == 502
    assert raised.value.code == "provider_unreachable"
    assert stack.settled(0) == []
    assert raised.value.response.headers["x-pertoken-call-id"] in stack.log()


def test_a_provider_that_stalls(hasty: Stack) -> None:
    """504 after the time limit, or an error event in a stream; what the provider may bill is charged as an estimate."""
    with pytest.raises(openai.InternalServerError) as raised:
        ask(hasty, "stall")
    assert raised.value.status_code == 504
    [whole] = hasty.settled(1)
    with pytest.raises(openai.APIError, match="provider openai failed"):
        ask(hasty, "stall", stream=True)
    [streamed] = [event for event in hasty.settled(2) if event.event_id != whole.event_id]

    assert whole.completeness == streamed.completeness == "estimated"
    assert whole.quantities["input_tokens"] > 0
    assert whole.quantities["output_tokens"] == 0
    assert streamed.cost_picos > 0
    assert whole.reason
    assert streamed.reason


@one_store
def test_a_provider_that_cuts_a_stream(stack: Stack) -> None:
    """The SDK raises; the charge is counted from the text that came, close to what the provider made."""
    with pytest.raises(openai.APIError):
        ask(stack, "cut_midstream", stream=True)

    [event] = stack.settled(1)
    served = stack.served()
    assert event.completeness == "estimated"
    assert 0.5 * served["output_tokens"] <= event.quantities["output_tokens"] <= 3 * served["output_tokens"]
    assert stack.differences() == []


@one_store
def test_a_provider_that_cuts_a_whole_answer(stack: Stack) -> None:
    """Half a body is no answer: 502, and what was held is charged, because the provider has written all of it."""
    with pytest.raises(openai.InternalServerError):
        ask(stack, "cut_midstream")

    [event] = stack.settled(1)
    assert event.completeness == "estimated"
    assert event.cost_picos == own(event).held_picos > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", ["no_usage", "garbage_usage"])
def test_an_estimate_is_never_above_the_hold(stack: Stack, fault: str, stream: bool) -> None:
    """What is counted for want of usage stays within what the provider was allowed to make, so within budgets."""
    more = {"extra_headers": {"x-sim-fault": fault, "x-sim-output-tokens": "100"}, "max_tokens": 100}
    made = client(stack).chat.completions.create(model=MODEL, messages=HELLO, stream=stream, **more)
    _ = list(made) if stream else made
    anthropic_client = Anthropic(base_url=stack.gateway.url, api_key=stack.secret, max_retries=0)
    answer = anthropic_client.messages.create(model="claude-haiku-4-5", messages=HELLO, stream=stream, **more)
    _ = list(answer) if stream else answer

    for event in stack.settled(2):
        assert event.completeness == "estimated"
        assert event.quantities["output_tokens"] == 100
        assert own(event).overrun_picos == 0


@one_store
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", ["no_usage", "garbage_usage"])
def test_a_provider_without_believable_usage(stack: Stack, fault: str, stream: bool) -> None:
    """The answer passes; the charge is counted here and marked estimated, never free."""
    ask(stack, fault, stream=stream)

    [event] = stack.settled(1)
    assert event.completeness == "estimated"
    assert event.cost_picos > 0
    assert event.quantities["output_tokens"] >= stack.served()["output_tokens"] // 2
    if fault == "garbage_usage":
        assert event.raw
        assert event.reason
        assert "not a count" in event.reason


@one_store
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_usage_said_twice_is_charged_once(stack: Stack, stream: bool) -> None:
    """The last usage object counts; a client that asked for none sees none."""
    chunks = ask(stack, "double_usage", stream=stream)

    stack.agrees(1)
    if stream:
        assert all(chunk.usage is None for chunk in chunks)


@one_store
def test_an_unknown_model_name_in_the_answer(stack: Stack) -> None:
    """An answer served under another name without price costs no less than was held, is unpriced, and says so."""
    ask(stack, "wrong_model")

    [event] = stack.settled(1)
    assert event.model_served == "some-other-model"
    assert event.status is EventStatus.UNPRICED
    assert event.cost_picos >= own(event).held_picos > 0
    assert event.reason
    assert "some-other-model" in event.reason
    assert event.cost_picos > 0


def test_a_provider_that_ignores_the_cap(stack: Stack) -> None:
    """The real cost is posted; what exceeds the hold is recorded as an overrun."""
    ask(stack, "exceed_max_tokens", max_tokens=400)

    stack.agrees(1)
    [event] = stack.events()
    assert event.quantities["output_tokens"] == 800
    assert own(event).overrun_picos == max(0, event.cost_picos - own(event).held_picos) > 0


def test_a_stream_that_outruns_its_hold_is_held_more_for(stack: Stack) -> None:
    """Where the budget has room, the hold grows with the stream, so that nothing is left to overrun."""
    stack.set_budget("1")
    ask(stack, "exceed_max_tokens", stream=True, max_tokens=1000)

    stack.agrees(1)
    [event] = stack.events()
    assert event.quantities["output_tokens"] == 2000
    assert own(event).held_picos > event.cost_picos
    assert own(event).overrun_picos == 0


def test_a_stream_that_outruns_its_hold_and_its_budget_is_cut(stack: Stack) -> None:
    """Where it has none, the stream ends with an error event that says why, and what was made is charged."""
    budget = stack.set_budget("0.0008")  # the hold takes 0.0006 for the output, and some for the input
    headers = {"x-sim-fault": "exceed_max_tokens", "x-sim-chunk-ms": "1"}
    made = client(stack).chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, max_tokens=1000, extra_headers=headers
    )
    with pytest.raises(openai.APIError, match="went beyond the 1000 output tokens that were held") as raised:
        list(made)

    assert raised.value.code == "budget_exceeded"
    assert "pertoken budget status" in str(raised.value)
    [event] = stack.settled(1)
    assert event.completeness == "estimated"
    assert event.reason
    assert "went beyond" in event.reason
    assert 1000 < event.quantities["output_tokens"] < 1500
    assert stack.budget(budget)["held"] == "0"
    assert stack.differences() == []


@one_store
@pytest.mark.parametrize("tokens", [5, 100, 3000])
def test_a_stream_within_its_hold_is_left_alone(stack: Stack, tokens: int) -> None:
    """A stream that makes all it may is neither cut nor held more for."""
    made = client(stack).chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, max_tokens=tokens, extra_headers={"x-sim-output-tokens": str(tokens)}
    )
    assert len(list(made)) >= tokens

    stack.agrees(1)
    [event] = stack.events()
    assert event.quantities["output_tokens"] == tokens
    assert own(event).overrun_picos == 0


@one_store
def test_a_slow_first_byte_is_waited_for(stack: Stack) -> None:
    """A provider slower than usual, within the limit, is no failure."""
    ask(stack, "slow_first_byte", extra_query=None)

    stack.agrees(1)


@one_store
def test_anthropic_streams_without_usage_keep_their_input(stack: Stack) -> None:
    """A message stream that is cut after message_start keeps the reported input; the output is counted."""
    sdk = Anthropic(base_url=stack.gateway.url, api_key=stack.secret, max_retries=0)
    with (
        pytest.raises(anthropic.APIError),
        sdk.messages.stream(
            model="claude-opus-4-8", max_tokens=200, messages=HELLO, extra_headers={"x-sim-fault": "cut_midstream"}
        ) as stream,
    ):
        for _ in stream:
            pass

    [event] = stack.settled(1)
    assert event.completeness == "estimated"
    assert event.quantities["input_tokens"] == stack.served()["input_tokens"]
    assert event.quantities["output_tokens"] > 0
    assert set(event.quantities) >= {SUMS[0], "output_tokens"}
