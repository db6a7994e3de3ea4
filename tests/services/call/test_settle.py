"""An answered call becomes one event, and its hold ends with it."""

import asyncio

from tests.factories import own
from tests.services.call.parts import ANSWERED, NOW_US, USAGE, Ledger, held_call, relayed_of, world_of

from pertoken.core.commands import OpenHold, Settle, Settled
from pertoken.core.events import Timeline
from pertoken.core.usage import Completeness, Reading
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.provider import ProviderFailed
from pertoken.services.call.call import Call, Relayed, Sent
from pertoken.services.call.settle import kept, settle


def answered(relayed: Relayed) -> Call:
    """Return a call that came to this."""
    call = held_call()
    call.headers, call.relayed = [], relayed
    return call


def settled(call: Call, ledger: Ledger) -> Settled | StoreUnavailable:
    """Hold for the call, and settle it."""

    async def hold_and_settle() -> Settled | StoreUnavailable:
        await ledger.submit(OpenHold(call.holding.hold, 1, None))
        return await settle(call, world_of(ledger=ledger))

    return asyncio.run(hold_and_settle())


def test_an_answer_with_usage_is_posted_as_it_is_told() -> None:
    """The event has the name of the hold, what was used, and when the call came to each step."""
    ledger, told = Ledger(), relayed_of(input_tokens=5, output_tokens=2)
    sent = Sent(NOW_US + 1, NOW_US + 2, NOW_US + 3, 2)
    call = answered(Relayed(told.reading, None, ANSWERED, last_byte_us=NOW_US + 4, sent=sent))
    result = settled(call, ledger)
    [event] = ledger.events

    assert isinstance(result, Settled)
    assert result.event == event
    assert (event.event_id, dict(event.quantities)) == ("call_1", {"input_tokens": 5, "output_tokens": 2})
    assert event.completeness is Completeness.FINAL
    assert own(event).timeline == Timeline(1, 2, 3, 4)
    assert own(event).attempts == 2
    assert event.cost_picos == sum(line[3] for line in event.lines) > 0


def test_an_answer_without_usage_is_counted() -> None:
    """Its text is output, its request input; and why the answer broke off is said."""
    ledger = Ledger()
    failure = ProviderFailed("the provider closed the connection")
    settled(answered(Relayed(Reading(None, Completeness.MISSING), "hello", b"", failure)), ledger)
    [event] = ledger.events

    assert event.completeness is Completeness.ESTIMATED
    assert event.quantities["output_tokens"] == 2  # one by our count, doubled for a tokenizer that is not known
    assert event.quantities["input_tokens"] > 0
    assert str(failure) in str(event.reason)


def test_a_store_that_fails_is_returned() -> None:
    """Nothing is posted; the settlement is tried again elsewhere."""
    ledger = Ledger()
    ledger.fails_at = Settle
    result = settled(answered(relayed_of(input_tokens=5, output_tokens=2)), ledger)

    assert isinstance(result, StoreUnavailable)
    assert ledger.events == []


def test_what_is_kept_of_an_answer() -> None:
    """All that was passed on and its end, with the headers given."""
    call = answered(Relayed(Reading(USAGE, Completeness.FINAL), None, b"end", passed=b"begin, "))
    outcome = kept(call, [(b"a", b"b")])

    assert (outcome.status, outcome.headers, outcome.body) == (200, ((b"a", b"b"),), b"begin, end")
