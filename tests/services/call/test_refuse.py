"""Our own headers: what is known before an answer, and after."""

import json

import pytest
from tests.factories import event, hold, with_own
from tests.services.call.parts import Client, budget, endpoint_of, held_call, holding_of, request_of

from pertoken.core.budgets import CounterKey, Touch
from pertoken.core.commands import Remaining, Settled
from pertoken.core.errors import Code, Refusal
from pertoken.core.periods import FOREVER_US
from pertoken.services.call.call import Holding
from pertoken.services.call.refuse import held_headers, refuse, reused_headers, settled_headers, status_of_a_stream

TIGHT = Remaining(Touch(CounterKey("b_1", "", 0), budget(100), FOREVER_US), 30, 50)


def test_what_is_known_of_a_held_call() -> None:
    """Its id, model and hold, and what was changed; nothing in a name can end a line."""
    call = held_call()
    call.changed = "model=m-2\r\nx: y"

    assert held_headers(call, has_cache=False) == [
        (b"x-pertoken-call-id", b"call_1"),
        (b"x-pertoken-model", b"m-1"),
        (b"x-pertoken-held", b"0.01"),
        (b"x-pertoken-changed", b"model=m-2??x: y"),
    ]


def test_a_miss_is_said_only_where_a_cache_is_on() -> None:
    """Without a cache the header would be about something that is not there."""
    call = held_call()

    assert dict(held_headers(call, has_cache=True))[b"x-pertoken-cache"] == b"miss"
    assert b"x-pertoken-cache" not in dict(held_headers(call, has_cache=False))


def test_a_budget_that_is_nearly_full_warns() -> None:
    """Each answer says how full it is."""
    call, plain = held_call(), holding_of()
    call.holding = Holding(plain.hold, plain.bound, warned=(TIGHT,))

    assert held_headers(call, has_cache=False)[-1] == (b"x-pertoken-budget-warning", b"all at 80 %")


def test_a_reused_answer_says_that_it_cost_nothing() -> None:
    """And that it is one."""
    call = held_call(request=request_of())
    told = dict(reused_headers(call, with_own(event(hold("call_1"), 0), changed="reused=exact")))

    assert (told[b"x-pertoken-cache"], told[b"x-pertoken-held"], told[b"x-pertoken-cost"]) == (b"hit", b"0", b"0")
    assert told[b"x-pertoken-changed"] == b"reused=exact"


def test_what_is_left_is_said_with_the_cost() -> None:
    """Of the tightest money budget."""
    told = dict(settled_headers(Settled(event(hold("call_1")), TIGHT)))

    assert told == {b"x-pertoken-cost": b"0.005", b"x-pertoken-budget-remaining": b"0.00000000002"}


@pytest.mark.parametrize(
    ("refusal", "header"),
    [
        (Refusal(Code.RATE_LIMITED, "wait", retry_after_s=3), (b"retry-after", b"3")),
        (Refusal(Code.BUDGET_EXCEEDED, "no"), (b"x-should-retry", b"false")),
    ],
)
def test_an_sdk_retries_only_what_can_succeed(refusal: Refusal, header: tuple[bytes, bytes]) -> None:
    """Its headers say so."""
    client = Client()
    refuse(client, endpoint_of().format, refusal, "call_1")

    assert client.told[header[0]] == header[1]
    assert (client.status, json.loads(client.got)["error"]["message"]) == (refusal.status, refusal.message)


@pytest.mark.parametrize(("status", "begun_with"), [(200, 200), (204, 502), (205, 502), (304, 502), (201, 201)])
def test_a_stream_has_a_body(status: int, begun_with: int) -> None:
    """A status that has none is not what a stream is begun with."""
    assert status_of_a_stream(status) == begun_with
