"""Attempts: each with a hold of its own, all of which end; and what the client gets of the last."""

import asyncio

import pytest
from tests.services.call.parts import (
    ANSWERED,
    NOW_US,
    Answered,
    Client,
    Clock,
    Ledger,
    Provider,
    body_of,
    budget,
    call_of,
    served,
    world_of,
)

from pertoken.core.commands import OpenHold
from pertoken.core.events import OfCall
from pertoken.core.provider_errors import ErrorKind
from pertoken.ports.provider import ProviderFailed
from pertoken.services.call.admit import admit
from pertoken.services.call.attempt import attempt
from pertoken.services.call.call import Call, End
from pertoken.services.offers import ModelRoute

ROUTED = {"m-1": ModelRoute("openai", "m-1", fallbacks=("m-2",))}


def attempted(
    provider: Provider, ledger: Ledger, client: Client | None = None, clock: Clock | None = None
) -> tuple[Call, Call | End]:
    """Return a call to a model with a fallback, and what its attempts came to."""
    world, call = world_of(provider, ledger, routed=ROUTED), call_of(client)
    world = world if clock is None else world._replace(clock=clock)

    async def steps() -> Call | End:
        assert await admit(call, world) is call
        return await attempt(call, world)

    return call, asyncio.run(steps())


def test_a_good_answer_is_the_first_attempt() -> None:
    """The call goes on with it, its hold open."""
    ledger = Ledger(budget())
    call, went = attempted(Provider(), ledger)

    assert went is call
    assert (call.answer.status, call.sent.attempts, call.changed) == (200, 1, None)
    assert list(ledger.books.holds) == ["call_1"]


@pytest.mark.parametrize("first", [ProviderFailed("it is away"), Answered(b"{}", status=503)])
def test_a_fallback_is_another_attempt(first: ProviderFailed | Answered) -> None:
    """The hold of the first has ended, that of the second has its number, and what was changed is said."""
    ledger, provider = Ledger(budget()), Provider(first, Answered(ANSWERED))
    call, went = attempted(provider, ledger)

    assert went is call
    assert [model for *_, model in provider.sent] == ["m-1", "m-2"]
    assert ledger.done() == ["OpenHold", "Void", "OpenHold"]
    assert list(ledger.books.holds) == ["call_1.2"]
    assert (call.sent.attempts, call.changed) == (2, "model=m-2")
    assert isinstance(first, ProviderFailed) or first.is_abandoned


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (ProviderFailed("it is away", kind=ErrorKind.UNREACHABLE), ErrorKind.UNREACHABLE),
        (Answered(b"{}", status=503), ErrorKind.SERVER_ERROR),
        (Answered(b"{}", status=429), ErrorKind.RATE_LIMITED),
    ],
)
def test_a_hold_that_is_let_go_says_why(first: ProviderFailed | Answered, kind: ErrorKind) -> None:
    """The attempt that its provider failed is no event, so its hold has the kind of the error."""
    ledger = Ledger()
    attempted(Provider(first, Answered(ANSWERED)), ledger)

    assert [one.error for one in ledger.books.ended_holds.values()] == [kind]


def test_an_attempt_that_may_be_billed_is_charged() -> None:
    """Its event is the call's, beside that of the attempt which was answered, and has the kind of the error."""
    ledger = Ledger()
    failure = ProviderFailed("too late", kind=ErrorKind.TIMED_OUT, may_bill=True)
    call, _ = attempted(Provider(failure, Answered(ANSWERED)), ledger)
    of = call.charged[0].of

    assert [event.event_id for event in call.charged] == ["call_1"]
    assert call.charged[0].cost_picos > 0
    assert isinstance(of, OfCall)
    assert of.error is ErrorKind.TIMED_OUT
    assert list(ledger.books.holds) == ["call_1.2"]


def test_an_error_that_no_attempt_mends_is_passed_on() -> None:
    """A bad request is bad everywhere; what the provider says of it is the client's."""
    ledger, provider = Ledger(), Provider(Answered(b"{}", status=400, headers=[(b"retry-after", b"3")]))
    _, went = attempted(provider, ledger)

    assert isinstance(went, End)
    assert (went.status, went.body, went.was_admitted) == (400, b"{}", True)
    assert (b"retry-after", b"3") in went.headers
    assert (len(provider.sent), ledger.books.holds) == (1, {})


def test_nobody_tries_again_for_a_client_that_is_gone() -> None:
    """Its hold ends all the same."""
    ledger, client = Ledger(), Client(body_of())
    client.gone = True
    _, went = attempted(Provider(ProviderFailed("it is away")), ledger, client)

    assert isinstance(went, End)
    assert went.status == 502
    assert ledger.done() == ["OpenHold", "Void"]


def test_where_no_room_is_left_the_first_providers_word_stands() -> None:
    """The last attempt is refused, and the client reads what the one before it came to."""

    class Once(Ledger):
        def submit(self, command: object) -> object:
            if isinstance(command, OpenHold) and self.commands:
                self.fails_at = OpenHold
            return super().submit(command)

    class Later(Clock):
        def now_us(self) -> int:
            self.us += 1
            return self.us

    call, went = attempted(Provider(ProviderFailed("it is away")), Once(), clock=Later())

    assert isinstance(went, End)
    assert went.refusal is not None
    assert "provider openai failed: it is away" in went.refusal.message
    assert call.request.model == "m-1"
    assert (call.attempt, call.instead, call.hold_id) == (1, None, "call_1")
    assert call.opened_at_us == NOW_US


def test_a_free_call_ends_with_its_answer() -> None:
    """Nothing is held and nothing is settled."""
    ledger = Ledger(provider="anthropic")
    provider = Provider(Answered(b'{"input_tokens":3}'), name="anthropic", wire="anthropic")
    client = served(Client(body_of()), world_of(provider, ledger), "/v1/messages/count_tokens")

    assert (client.status, client.got) == (200, b'{"input_tokens":3}')
    assert ledger.done() == ["Look"]
