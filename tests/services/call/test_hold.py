"""What a call is held for, and that it is decided on one directory from its beginning to its end."""

import asyncio
import json
from typing import Any

import pytest
from tests.factories import WHO
from tests.services.call.parts import (
    CENT,
    NOW_US,
    Client,
    Ledger,
    Provider,
    body_of,
    budget,
    call_of,
    endpoint_of,
    world_of,
)

from pertoken.core.admission import Cheaper
from pertoken.core.bounds import FAMILIES, Limits
from pertoken.core.budgets import Axis, Step
from pertoken.core.commands import Command, OpenHold, Stale
from pertoken.core.directory import Directory
from pertoken.core.errors import Code
from pertoken.core.periods import FOREVER_US
from pertoken.core.trust import Trust
from pertoken.services.call.call import Call, End, Holding
from pertoken.services.call.hold import hold, open_hold
from pertoken.services.call.request import Request
from pertoken.services.call.understand import understand
from pertoken.services.offers import ModelRoute, Offer
from pertoken.services.world import World

TEXT = "amber cedar delta ember forest " * 200  # 1,000 tokens, 6,200 bytes


def gpt_4o(input_more: int = 0, hidden_input: str | None = None, **fields: Any) -> Request:
    """Return a request for gpt-4o with a cap on its output, which has a price of nothing."""
    body = json.dumps({"model": "gpt-4o", "max_tokens": 10, "messages": [{"role": "user", "content": TEXT}], **fields})
    endpoint = endpoint_of()
    facts = endpoint.format.read_request(body.encode(), None)
    facts = facts._replace(input_more=input_more, hidden_input=hidden_input)
    offer = Offer(Provider(), "gpt-4o", (), FAMILIES["o200k"], Limits(), 0, FOREVER_US, "gpt-4o")
    return Request(
        endpoint, facts, body.encode(), offer, attribution=WHO, opened_at_us=NOW_US, asked_model="gpt-4o"
    )  # fmt: skip


class Leaves(Ledger):
    """Has room for so many tokens; after the first command the directory is another one, of `later` trust."""

    def __init__(self, tokens: int, trust: Trust, later: Trust | None = None) -> None:
        super().__init__(budget(tokens, axis=Axis.TOKENS), trusts={("openai", "gpt-4o"): trust})
        self.later = later

    def submit(self, command: Command) -> "asyncio.Future[Any]":
        """Decide, and see another worker's settlement come."""
        done = super().submit(command)
        if self.later is not None:
            self.books.revision = 2
            self.directory = Directory(2, (), (), {("openai", "gpt-4o"): self.later})
        return done

    def asked(self) -> list[OpenHold]:
        """Return the holds that were asked for."""
        return [command for command in self.commands if isinstance(command, OpenHold)]


def held_for(ledger: Ledger, request: Request) -> object:
    """Hold for a request."""
    return asyncio.run(open_hold(request, "call_1", None, world_of(ledger=ledger)))


def test_what_explains_a_tool_is_held_for_beside_what_is_counted() -> None:
    """The tokens that explain a provider's own tool stand in no body: they are added to its bytes and to its count."""
    ledger = Leaves(4_036, Trust())

    assert isinstance(held_for(ledger, gpt_4o(input_more=3_000)), Holding)
    assert [asked.hold.tokens - 10 for asked in ledger.asked()] == [9_300, 4_026]


@pytest.mark.parametrize(
    ("trust", "loose", "close"),
    [
        (Trust(), 6_300, 1_026),
        (Trust(0, 120, 100), 7_560, 6_228),  # what was contradicted is its bytes, but for the JSON around them
        (Trust(1_024, 400, 100), 26_224, 7_252),
        (Trust(0, 600, 120), 37_800, 7_474),
    ],
)
def test_what_is_held_for_the_input(trust: Trust, loose: int, close: int) -> None:
    """At first the body's bytes, and where those do not fit what is counted, both as far as the count is believed."""
    ledger = Leaves(close + 10, trust)

    assert isinstance(held_for(ledger, gpt_4o()), Holding)
    assert [asked.hold.tokens - 10 for asked in ledger.asked()] == [loose, close]
    assert ledger.counted() == [(close + 10, 0)]


def test_a_hold_is_decided_on_one_directory() -> None:
    """A call that began on an older trust is sent back, also where it asks a second time, with a closer bound."""
    ledger = Leaves(1_036, Trust(), Trust(0, 400, 100))

    assert held_for(ledger, gpt_4o()) == Stale()
    assert [asked.revision for asked in ledger.asked()] == [1, 1]


def held(ledger: Ledger, client: Client | None = None, **more: Any) -> tuple[Call, Call | End | Stale | Cheaper]:
    """Return a call that was understood, and what became of it at its hold."""
    world: World = world_of(ledger=ledger, **more)
    call = call_of(client, call_id=f"call_{len(ledger.commands) + 1}")
    assert understand(call, world) is call
    return call, asyncio.run(hold(call, world))


def test_a_call_goes_on_with_its_hold() -> None:
    """The call has the hold, in its own name, that is on the books."""
    ledger = Ledger(budget())
    call, went = held(ledger)

    assert went is call
    assert call.holding.hold.hold_id == "call_1"
    assert ledger.books.holds == {"call_1": call.holding.hold}
    assert ledger.counted() == [(call.holding.hold.amount_picos, 0)]


def test_a_call_that_does_not_fit_ends() -> None:
    """It is refused by the budget that decided, in the name of whom it belongs to, and holds nothing."""
    ledger = Ledger(budget(1, steps=()))
    call, went = held(ledger)

    assert isinstance(went, End)
    assert went.refusal is not None
    assert (went.status, went.refusal.code, went.refusal.budget) == (402, Code.BUDGET_EXCEEDED, "all")
    assert went.refusal.attribution == call.request.attribution
    assert not went.was_admitted
    assert ledger.counted() == [(0, 0)]


def test_a_call_that_does_not_fit_may_go_to_another_model() -> None:
    """Where its budget says so, and the settings name one."""
    ledger = Ledger(budget(1, steps=(Step.CHEAPER,)))
    routed = {"m-1": ModelRoute("openai", "m-1", cheaper="m-2")}

    assert held(ledger, routed=routed)[1] == Cheaper("m-2")


def test_a_call_that_was_made_before_ends_in_its_answer() -> None:
    """A name that another call has is no call: while that runs, the client is asked to wait."""
    ledger = Ledger(budget(CENT * 100))
    name = ((b"x-pertoken-idempotency-key", b"order 7"),)
    first, went = held(ledger, Client(body_of(), name))
    assert went is first
    _, again = held(ledger, Client(body_of(), name))

    assert isinstance(again, End)
    assert again.refusal is not None
    assert (again.refusal.code, again.refusal.retry_after_s) == (Code.IDEMPOTENCY_CONFLICT, 1)
    assert len(ledger.books.holds) == 1


def test_a_store_that_fails_serves_no_call() -> None:
    """What cannot be held is not sent."""
    ledger = Ledger()
    ledger.fails_at = OpenHold
    _, went = held(ledger)

    assert isinstance(went, End)
    assert went.refusal is not None
    assert went.refusal.code is Code.STORE_UNAVAILABLE
