"""What a policy changes in a request is what is held for, sent, charged, and said."""

import json

import pytest
from tests.services.call.parts import (
    ANSWERED,
    CENT,
    Answered,
    Client,
    Ledger,
    Provider,
    body_of,
    budget,
    served,
    world_of,
)

from pertoken.core.budgets import Step
from pertoken.core.commands import OpenHold
from pertoken.ports.asked import AskedCall
from pertoken.ports.provider import ProviderFailed
from pertoken.ports.shape import Shaped
from pertoken.services.call.heavy import Heavy
from pertoken.services.offers import ModelRoute


class ToSmall:
    """Sends calls for m-1 to a smaller model, and leaves a word out."""

    def __init__(self, model: str | None = "m-small") -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.model = model

    async def shape(self, asked: AskedCall) -> Shaped | None:
        """Change a request for m-1."""
        self.asked.append((asked.facts.model, asked.attribution.key))
        if asked.facts.model != "m-1":
            return None
        return Shaped("shortened=3", asked.body.replace(b"please ", b""), self.model)


def polite(model: str = "m-1", **fields: object) -> bytes:
    """Return a request with a word too many."""
    return body_of(model, messages=[{"role": "user", "content": "please sum up"}], **fields)


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_goes_on_as_it_was_shaped(stream: bool) -> None:
    """The provider gets the other model and body; the header and the event say what was changed."""
    provider, ledger = Provider(), Ledger(budget())
    client = served(Client(polite(stream=stream)), world_of(provider, ledger, shape=ToSmall()))

    [(_, _, body, model)] = provider.sent
    assert (json.loads(body)["model"], model) == ("m-small", "m-small")
    assert json.loads(body)["messages"] == [{"role": "user", "content": "sum up"}]
    assert client.told[b"x-pertoken-changed"] == b"shortened=3, model=m-small"
    assert client.told[b"x-pertoken-model"] == b"m-small"
    [event] = ledger.events
    assert (event.of.changed, event.attribution.model) == ("shortened=3, model=m-small", "m-small")


def test_what_is_held_is_what_is_sent() -> None:
    """A shorter body needs a smaller hold."""
    books, shaped = Ledger(), Ledger()
    served(Client(polite()), world_of(ledger=books))
    served(Client(polite()), world_of(ledger=shaped, shape=ToSmall(None)))

    assert shaped.events[0].of.held_picos < books.events[0].of.held_picos


def test_what_needs_no_change_goes_on_as_it_came() -> None:
    """Nothing of it is changed, and nothing is said; it was asked about once, with whom it belongs to."""
    provider, policy = Provider(), ToSmall()
    client = served(Client(polite("m-2")), world_of(provider, shape=policy))

    assert json.loads(provider.sent[0][2]) == json.loads(polite("m-2"))
    assert b"x-pertoken-changed" not in client.told
    assert policy.asked == [("m-2", "key_1")]


def test_a_call_is_shaped_once() -> None:
    """Also where keys change meanwhile, its provider fails, and another model takes over: that gets the same body."""
    provider = Provider(ProviderFailed("it is away"), Answered(ANSWERED))
    ledger, policy = Ledger(), ToSmall()
    ledger.stale = 2
    routed = {"m-small": ModelRoute("openai", "m-small", fallbacks=("m-3",))}
    client = served(Client(polite()), world_of(provider, ledger, routed=routed, shape=policy))

    assert [model for *_, model in provider.sent] == ["m-small", "m-3"]
    assert b"please" not in provider.sent[1][2]
    assert client.told[b"x-pertoken-changed"] == b"shortened=3, model=m-3"
    assert len(policy.asked) == 1
    assert [event.event_id.endswith(".2") for event in ledger.events] == [True]


def test_a_budget_may_send_it_to_a_cheaper_model_than_the_policy() -> None:
    """What the settings say of the model that the policy took is what its budget does."""
    routed = {"m-small": ModelRoute("openai", "m-small", cheaper="free")}
    ledger = Ledger(budget(1, steps=(Step.CHEAPER,)))
    client = served(Client(polite()), world_of(ledger=ledger, routed=routed, shape=ToSmall()))

    assert client.status == 402  # the other model has the same price here
    asked = [command.hold.attribution.model for command in ledger.commands if isinstance(command, OpenHold)]
    assert (asked[0], asked[-1]) == ("m-small", "free")


def test_a_heavy_request_is_shaped_once() -> None:
    """What it becomes is read apart as well."""
    client, policy, provider = Client(polite()), ToSmall(), Provider()
    client.heavy = Heavy(client.body, "key_1", 250_000)
    served(client, world_of(provider, shape=policy))

    assert client.status == 200
    assert len(policy.asked) == 1
    assert b"please" not in provider.sent[0][2]


def test_a_request_that_nobody_understands_is_refused() -> None:
    """Nothing is sent that could not be held for."""

    class Broken:
        async def shape(self, asked: AskedCall) -> Shaped | None:
            return Shaped("all=gone", asked.body[:-1])

    provider, ledger = Provider(), Ledger(budget(CENT))
    client = served(Client(polite()), world_of(provider, ledger, shape=Broken()))

    assert (client.status, provider.sent, ledger.commands) == (400, [], [])
