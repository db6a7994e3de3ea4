"""What goes on to a provider: never the secret by which a client is known, and no change that policy did not make."""

import asyncio
import json
from typing import Any

import pytest
from tests.factories import WHO, hold
from tests.services import stand_in
from tests.services.call.parts import (
    NOW_US,
    Answered,
    Client,
    Ledger,
    Provider,
    body_of,
    call_of,
    endpoint_of,
    request_of,
    world_of,
)

from pertoken.core.commands import OpenHold, Void
from pertoken.core.errors import Code
from pertoken.core.provider_errors import ErrorKind
from pertoken.ports.provider import Answer, ProviderFailed
from pertoken.ports.readers import NotRead
from pertoken.services.call.call import Call
from pertoken.services.call.forward import (
    NOTHING,
    _path,
    answer_headers,
    changes,
    describe,
    forward,
    let_go,
    provider_refusal,
    request_headers,
)
from pertoken.services.call.heavy import Heavy
from pertoken.services.call.request import Request
from pertoken.services.offers import AskedFor, Offer
from pertoken.wire.format import RequestChange

SECRET = b"sk-pt-a-secret"
SHOWN = (b"authorization", b"Bearer " + SECRET)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"authorization", b"Bearer " + SECRET),
        (b"x-auth-token", SECRET),
        (b"referer", b"http://x/?key=" + SECRET + b"&a=1"),
        (b"x-forwarded-authorization", b"Bearer " + SECRET),
        (b"referer", b"http://x/?a=%73k-pt-a%2Dsecret"),
        (b"referer", b"http://x/?a=%2573k-pt-a-secret"),
        (b"referer", b"http://x/?a=%25%37%33k-pt-a-secret"),
    ],
)
def test_no_header_has_the_secret(name: bytes, value: bytes) -> None:
    """A header with the secret in it is kept back, whatever it is called; the others go on."""
    other = (b"openai-beta", b"x")
    assert request_headers((SHOWN, (name, value), other), SECRET) == (other,)


@pytest.mark.parametrize(
    "name", [b"x-pertoken-user", b"x-pertoken", b"x_pertoken_customer", b"x-pertoken_user", b"x-pertokenuser"]
)
def test_no_header_of_ours(name: bytes) -> None:
    """What is said between a client and us stays there, also under a misspelt name; a provider says nothing as us."""
    other = (b"x-perth", b"1")
    assert request_headers(((name, b"acme"), other), SECRET) == (other,)
    assert answer_headers(((name, b"acme"), other)) == [other]


@pytest.mark.parametrize(
    "pair",
    ["access_token=sk-pt-a-secret", "x=1;key=sk-pt-a-secret", "q=%73k%2Dpt-a-secret", "k%2565y=sk-pt-a-secret",
     "q=%2573k-pt-a-secret", "q=%252573k-pt-a-secret", "q=%25%37%33k-pt-a-secret"],
)  # fmt: skip
def test_no_parameter_has_the_secret(pair: str) -> None:
    """A parameter with the secret in it is kept back, whatever it is called and however it is spelt."""
    assert _path(request_of(), f"alt=sse&{pair}&b=2".encode(), SECRET) == "/chat/completions?alt=sse&b=2"


def asked(provider: Provider | None = None, model: str = "m-1", heavy: Heavy | None = None, **facts: Any) -> Request:
    """Return a request as it was understood: its client asked for m-1, and `model` serves it at `provider`."""
    endpoint, body = endpoint_of(), body_of()
    offer = world_of(provider).offers.find(model, "openai", NOW_US, AskedFor())
    assert isinstance(offer, Offer)
    found = endpoint.format.read_request(body, None)._replace(**facts)
    return Request(endpoint, found, body, offer, attribution=WHO, opened_at_us=NOW_US, asked_model="m-1", heavy=heavy)


def understood(request: Request, client: Client | None = None) -> Call:
    """Return a call whose request is understood."""
    call = call_of(client)
    call.request = request
    return call


def sent_of(call: Call, change: RequestChange = NOTHING, **world: Any) -> tuple[Answer | ProviderFailed, int | None]:
    """Return what a call is answered, and when it was sent."""
    return asyncio.run(forward(call, change, world_of(**world)))


def test_a_request_goes_on_as_it_came() -> None:
    """Its body has the bytes of the client, the secret stays, and when it was sent is known."""
    provider, client = Provider(), Client(body_of(), ((b"openai-beta", b"x"),), b"a=1&key=" + stand_in.SECRET)
    answer, sent_us = sent_of(understood(asked(provider), client))

    assert (isinstance(answer, Answered), sent_us) == (True, NOW_US)
    assert provider.sent == [("/chat/completions?a=1", ((b"openai-beta", b"x"),), body_of(), "m-1")]


def test_a_change_is_written_into_the_body() -> None:
    """The model and the cap of policy stand in it, and all else as it came."""
    provider = Provider()
    sent_of(understood(asked(provider, "m-2")), RequestChange(model="m-2", output_max=7, output_field="max_tokens"))

    [(_, _, body, model)] = provider.sent
    assert model == "m-2"
    assert json.loads(body) == json.loads(body_of("m-2", max_tokens=7))


def test_a_provider_that_fails_is_an_answer() -> None:
    """Why there is none is returned, and that the request was about to be sent."""
    away = ProviderFailed("it is away")

    assert sent_of(understood(asked(Provider(away)))) == (away, NOW_US)


class Apart(stand_in.Here):
    """Reads, and keeps what it was asked to do for whom; or fails."""

    def __init__(self, *, is_away: bool = False) -> None:
        super().__init__(stand_in.TOKENIZERS)
        self.is_away = is_away
        self.done: list[tuple[str, str]] = []

    async def read(self, key_id: str, work: str, body: bytes, args: tuple[Any, ...]) -> Any:
        """Return what a work finds in a body."""
        self.done.append((key_id, work))
        if self.is_away:
            raise NotRead("every process is busy")
        return await super().read(key_id, work, body, args)


def test_a_heavy_body_that_nobody_can_rewrite_is_not_sent() -> None:
    """The attempt fails before anything is sent, so that nothing can be charged for it."""
    provider = Provider()
    call = understood(asked(provider, "m-2", Heavy(body_of(), "key_1", 250_000)))
    failed, sent_us = sent_of(call, RequestChange(model="m-2"), readers=Apart(is_away=True))

    assert isinstance(failed, ProviderFailed)
    assert str(failed) == "not sent: the request body could not be rewritten: every process is busy"
    assert (failed.may_bill, sent_us, provider.sent) == (False, None, [])


def test_a_heavy_body_is_rewritten_apart() -> None:
    """What is sent is what the readers made of it; one that is not changed goes on without them."""
    provider, readers = Provider(), Apart()
    call = understood(asked(provider, "m-2", Heavy(body_of(), "key_1", 250_000)))
    sent_of(call, RequestChange(model="m-2"), readers=readers)
    sent_of(call, readers=readers)

    assert readers.done == [("key_1", "rewritten")]
    assert [json.loads(body)["model"] for _, _, body, _ in provider.sent] == ["m-2", "m-1"]


@pytest.mark.parametrize(
    ("model", "facts", "cap", "change"),
    [
        ("m-1", {}, None, NOTHING),
        ("m-2", {}, None, RequestChange(model="m-2")),
        ("m-1", {}, 7, RequestChange(output_max=7, output_field="max_tokens")),
        ("m-1", {"output_field": "max_completion_tokens", "output_max": 50}, None,
         RequestChange(output_max=50, output_field="max_tokens")),
        ("m-1", {"output_field": "max_completion_tokens", "output_max": 50}, 7,
         RequestChange(output_max=7, output_field="max_tokens")),
        ("m-1", {"output_field": "max_tokens", "output_max": 50}, None, NOTHING),
        ("m-1", {"stream": True, "wants_usage": False}, None, RequestChange(include_usage=True)),
        ("m-1", {"stream": True, "wants_usage": True}, None, NOTHING),
    ],
)  # fmt: skip
def test_what_policy_changes(model: str, facts: dict[str, Any], cap: int | None, change: RequestChange) -> None:
    """The model that took over, the cap of the hold, a cap under a name that the provider knows, and usage."""
    assert changes(asked(model=model, **facts), cap) == change


def test_a_provider_that_is_not_asked_for_usage() -> None:
    """A stream of one that knows no such field goes on without it."""
    provider = Provider()
    provider.asks_for_usage = False

    assert changes(asked(provider, stream=True, wants_usage=False), None) is NOTHING


@pytest.mark.parametrize(
    ("shaped", "change", "said"),
    [
        (None, NOTHING, None),
        ("pii=2", NOTHING, "pii=2"),
        (None, RequestChange(model="m-2", output_max=7), "model=m-2, output_max=7"),
        ("pii=2", RequestChange(model="m-2"), "pii=2, model=m-2"),
        (None, RequestChange(include_usage=True), None),
        ("pii=2", RequestChange(include_usage=True), "pii=2"),
    ],
)
def test_what_was_changed_is_said(shaped: str | None, change: RequestChange, said: str | None) -> None:
    """First what shaped the request, then what the hold changed; usage that only we see is not said."""
    assert describe(shaped, change) == said


@pytest.mark.parametrize("kind", ErrorKind)
def test_what_a_client_is_told_of_a_provider_that_failed(kind: ErrorKind) -> None:
    """Its name, and why it failed; one that took too long has a code of its own."""
    code = Code.PROVIDER_TIMEOUT if kind is ErrorKind.TIMED_OUT else Code.PROVIDER_UNREACHABLE
    refusal = provider_refusal(asked(), ProviderFailed("it is away", kind=kind))

    assert (refusal.code, refusal.message) == (code, "provider openai failed: it is away")


def test_a_hold_is_let_go() -> None:
    """It is voided, and once more is no mistake."""
    ledger, held = Ledger(), hold("call_1", opened_at_us=NOW_US)

    async def story() -> None:
        await ledger.submit(OpenHold(held, 1))
        await let_go(held, ErrorKind.DENIED, world_of(ledger=ledger))
        await let_go(held, ErrorKind.DENIED, world_of(ledger=ledger))

    asyncio.run(story())
    assert (ledger.books.holds, ledger.events) == ({}, [])
    assert ledger.done() == ["OpenHold", "Void", "Void"]


def test_a_hold_that_cannot_be_let_go_now(caplog: pytest.LogCaptureFixture) -> None:
    """The call goes on: the store keeps the void, and the log has the hold and why."""
    ledger, held = Ledger(), hold("call_1", opened_at_us=NOW_US)
    ledger.fails_at = Void
    asyncio.run(let_go(held, None, world_of(ledger=ledger)))

    assert "call_1: hold not yet voided: the disk is full" in caplog.text
