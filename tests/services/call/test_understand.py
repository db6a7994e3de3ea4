"""What a request asks for, and in whose stead another model is asked."""

import json

import pytest
from tests.services.call.parts import NOW_US, SECRET, Client, Ledger, Provider, body_of, call_of, world_of

from pertoken.core.errors import Code
from pertoken.services.call.call import Call, End
from pertoken.services.call.identify import Caller, Shown
from pertoken.services.call.understand import understand
from pertoken.services.offers import ModelRoute

ROUTED = {
    "m-1": ModelRoute("openai", "gpt", cheaper="m-2", fallbacks=("m-2", "m-3")),
    "m-9": ModelRoute("openai", "m-9", cheaper="m-8"),
}


def understood(call: Call) -> Call:
    """Return a call that can be understood."""
    assert understand(call, world_of(routed=ROUTED)) is call
    return call


def test_a_request_is_asked_of_whom_the_settings_name() -> None:
    """With what may take over, and in the name of its key."""
    request = understood(call_of()).request

    assert (request.facts.model, request.model, request.asked_model) == ("m-1", "gpt", "m-1")
    assert (request.cheaper, request.fallbacks) == ("m-2", ("m-2", "m-3"))
    assert (request.attribution.key, request.attribution.team, request.attribution.model) == ("key_1", "growth", "m-1")
    assert request.opened_at_us == NOW_US


def test_a_model_that_took_over_is_asked_instead() -> None:
    """Nothing cheaper follows; the other fallbacks of the model that was asked for stay."""
    call = call_of()
    call.instead = "m-2"
    request = understood(call).request

    assert (request.facts.model, request.asked_model) == ("m-2", "m-1")
    assert (request.cheaper, request.fallbacks) == (None, ("m-3",))


def test_a_model_that_a_policy_took_is_as_if_it_was_asked_for() -> None:
    """What may take over is what the settings say of that one."""
    call = call_of()
    call.shaped_model = "m-9"
    request = understood(call).request

    assert (request.facts.model, request.asked_model) == ("m-9", "m-1")
    assert (request.cheaper, request.fallbacks) == ("m-8", ())


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"{", {}, Code.INVALID_REQUEST),
        (body_of(), {b"content-encoding": b"gzip"}, Code.INVALID_REQUEST),
        (body_of("m" * 300), {}, Code.UNKNOWN_MODEL),
        (body_of("unpriced"), {}, Code.UNKNOWN_MODEL),
    ],
)
def test_what_cannot_be_understood(body: bytes, headers: dict[bytes, bytes], code: Code) -> None:
    """It is refused in the name of its key."""
    call = call_of(Client(body))
    call.caller = Caller(call.caller.key, Shown(SECRET, headers))
    provider = Provider(name="other", wire="anthropic") if b"unpriced" in body else Provider()
    end = understand(call, world_of(provider))

    assert isinstance(end, End)
    assert end.refusal is not None
    assert end.refusal.code is code
    assert end.refusal.attribution is not None
    assert end.refusal.attribution.key == "key_1"


def test_the_path_decides_whether_it_is_streamed() -> None:
    """In the formats whose path says so."""
    asked = json.dumps({"contents": [{"parts": [{"text": "hi"}]}]}).encode()
    provider = Provider(name="google", wire="gemini")
    world = world_of(provider, Ledger(provider="google"))
    for method, stream in (("generateContent", False), ("streamGenerateContent", True)):
        call = call_of(Client(asked), f"/v1beta/models/m-1:{method}")
        understand(call, world)
        assert call.request.facts.stream is stream
