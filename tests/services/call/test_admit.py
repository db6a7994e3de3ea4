"""A call that is decided anew again and again ends in an answer."""

import asyncio
import json
from typing import Any

import pytest
from tests.services.call.parts import KEY, Client, Ledger, Provider, body_of, budget, call_of, served, world_of

from pertoken.core.budgets import Step
from pertoken.core.commands import Command, Look
from pertoken.core.directory import Directory
from pertoken.core.errors import Code
from pertoken.services.call.admit import STALE_MAX, admit
from pertoken.services.call.heavy import Heavy
from pertoken.services.offers import ModelRoute


@pytest.mark.parametrize(
    ("api", "wire", "field"), [("openai.chat", "openai", "code"), ("anthropic.messages", "anthropic", "type")]
)
def test_a_directory_that_never_rests(api: str, wire: str, field: str) -> None:
    """A call whose keys change six times while it is admitted is refused for now, as its client reads refusals."""
    ledger = Ledger(provider=wire)
    ledger.stale = 10**9
    client = served(Client(body_of()), world_of(Provider(name=wire, wire=wire), ledger), api)

    assert ledger.done() == ["OpenHold"] * STALE_MAX
    assert client.status == 503
    assert client.told[b"retry-after"] == b"1"
    assert client.told[b"x-pertoken-refused"] == Code.OVERLOADED.encode()
    assert "changed 6 times" in client.error
    assert json.loads(client.got)["error"][field]


class Restless(Ledger):
    """Has a new revision at each of its first `changes` looks; the last of them shares the customer acme."""

    def __init__(self, changes: int) -> None:
        super().__init__()
        self.changes = changes
        self._tell({"acme": frozenset(("others",))})

    def submit(self, command: Command) -> "asyncio.Future[Any]":
        """Change before a look is answered."""
        if isinstance(command, Look) and self.changes:
            assert self.done().count("Look") < 50, "an admission that never ends"
            self.changes -= 1
            team = "others" if self.changes else "growth"
            self._tell({"acme": frozenset((team,))})
        return super().submit(command)

    def _tell(self, shares: dict[str, frozenset[str]]) -> None:
        revision = self.directory.revision + 1
        self.directory = Directory(revision, [KEY], (), shares=shares)
        self.books.revision = revision


def test_a_customer_refused_by_directories_that_never_rest() -> None:
    """A call that a directory refuses, and each later one as well, is refused for now after six of them."""
    ledger = Restless(10**9)
    world = world_of(ledger=ledger)
    client = served(Client(body_of(), ((b"x-pertoken-customer", b"acme"),)), world)

    assert ledger.done() == ["Look"] * STALE_MAX
    batch = world.refused.take()
    assert batch is not None
    [recorded] = batch.whole
    assert (recorded.code, recorded.attribution.key) == (Code.OVERLOADED, "key_1")
    assert (client.status, client.told[b"retry-after"]) == (503, b"1")
    assert client.told[b"x-pertoken-refused"] == Code.OVERLOADED.encode()
    assert "changed 6 times" in client.error


@pytest.mark.parametrize("changes", [1, STALE_MAX - 1])
def test_a_customer_shared_in_time(changes: int) -> None:
    """A call that older directories refuse is served where a newer one, before the sixth, lets it name its customer."""
    ledger = Restless(changes)
    client = served(Client(body_of(), ((b"x-pertoken-customer", b"acme"),)), world_of(ledger=ledger))

    assert client.status == 200
    assert ledger.done() == ["Look"] * changes + ["OpenHold", "Settle"]


def test_a_customer_that_the_newest_directory_refuses() -> None:
    """A call is forbidden a customer of others where the directory is as new as the database."""
    ledger = Restless(0)
    client = served(Client(body_of(), ((b"x-pertoken-customer", b"acme"),)), world_of(ledger=ledger))

    assert client.status == 403
    assert ledger.done() == ["Look"]


def test_a_directory_that_comes_to_rest() -> None:
    """A call is served where the directory rests in time."""
    ledger = Ledger()
    ledger.stale = STALE_MAX - 1

    assert served(Client(body_of()), world_of(ledger=ledger)).status == 200
    assert ledger.done() == ["OpenHold"] * STALE_MAX + ["Settle"]


def test_a_cheaper_model_keeps_the_fallbacks() -> None:
    """Those of the model that was asked for, but for the one that took over."""
    routed = {"m-1": ModelRoute("openai", "m-1", cheaper="m-2", fallbacks=("m-2", "m-3"))}
    asked = Ledger(budget(1, steps=(Step.CHEAPER,), scope=(("model", "m-1"),)))
    call = call_of()

    assert asyncio.run(admit(call, world_of(ledger=asked, routed=routed))) is call
    assert (call.request.model, call.request.asked_model, call.request.fallbacks) == ("m-2", "m-1", ("m-3",))
    assert call.request.cheaper is None


def test_a_heavy_body_is_read_once_in_each_way() -> None:
    """The steps are taken again after each reading, and the call is held for once."""
    client, ledger = Client(body_of()), Ledger()
    client.heavy = Heavy(client.body, "key_1", 250_000)
    call = call_of(client)

    assert asyncio.run(admit(call, world_of(ledger=ledger))) is call
    assert ledger.done() == ["OpenHold"]
    assert sorted(work for work, _ in client.heavy.known) == ["choices_of", "facts_of"]
