"""How a call ends for its client: whole, at the end of a stream, or refused."""

import asyncio
import json

from tests.factories import event, hold
from tests.services.call.parts import DONE, TEXT, Answered, Client, body_of, breaks_off, held_call, relayed_of

from pertoken.core.commands import Settled
from pertoken.core.errors import Code, Refusal
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.provider import ProviderFailed
from pertoken.services.call.answer import answer, give, pass_on
from pertoken.services.call.call import Call, End, Relayed, refused

SETTLED = Settled(event(hold("call_1")), None)


def relayed(client: Client, failure: ProviderFailed | None = None, last: bytes = b"{}") -> Call:
    """Return a call that was answered; where its client asked for a stream, that is begun."""
    call = held_call(client)
    call.headers = [(b"x-pertoken-call-id", b"call_1")]
    call.relayed = Relayed(relayed_of(input_tokens=1).reading, None, last, failure)
    if call.request.facts.stream:
        client.start(200, call.headers)
        call.is_begun = True
    return call


def ended(call: Call, end: End) -> Client:
    """Return the client of a call that has ended."""
    give(call, end)
    assert isinstance(call.exchange, Client)
    assert call.exchange.is_finished
    return call.exchange


def test_a_whole_answer_says_what_it_cost() -> None:
    """The cost is known once it is settled; the event is the call's."""
    call = relayed(Client(body_of()))
    client = ended(call, answer(call, SETTLED))

    assert (client.status, client.got, client.told[b"x-pertoken-cost"]) == (200, b"{}", b"0.005")
    assert call.charged == (SETTLED.event,)


def test_a_settlement_that_is_not_on_disk_is_no_answer() -> None:
    """The client gets nothing of what it could not be charged for."""
    call = relayed(Client(body_of()))
    client = ended(call, answer(call, StoreUnavailable("the disk is full")))

    assert (client.status, client.told[b"x-pertoken-refused"]) == (503, b"store_unavailable")
    assert call.charged == ()


def test_a_stream_ends_after_its_settlement() -> None:
    """Its last piece is what was kept back."""
    call = relayed(Client(body_of(stream=True)), last=DONE)

    assert ended(call, answer(call, SETTLED)).got == DONE


def test_a_stream_that_broke_off_ends_in_an_error() -> None:
    """Its client cannot take what came for the whole answer."""
    call = relayed(Client(body_of(stream=True)), ProviderFailed("it broke off"), DONE)
    client = ended(call, answer(call, SETTLED))

    assert client.status == 200
    assert DONE not in client.got
    assert b"it broke off" in client.got


def test_what_was_answered_before_is_answered_as_it_was() -> None:
    """Whole, or as a stream."""
    for is_stream in (False, True):
        client = ended(held_call(Client(body_of())), End(200, [(b"a", b"b")], TEXT, is_stream=is_stream))
        assert (client.status, client.told, client.got) == (200, {b"a": b"b"}, TEXT)


def test_a_refusal_is_read_in_the_clients_format() -> None:
    """With its code in the headers."""
    client = ended(held_call(Client(body_of())), refused(Refusal(Code.FORBIDDEN, "not yours")))

    assert (client.status, json.loads(client.got)["error"]["message"]) == (403, "not yours")


def test_an_error_that_breaks_off_is_a_failure() -> None:
    """Half an error is none."""
    call = held_call(Client(body_of()))
    end = asyncio.run(pass_on(call, Answered(b"{", breaks_off, status=500)))

    assert end.refusal is not None
    assert end.refusal.code is Code.PROVIDER_UNREACHABLE
