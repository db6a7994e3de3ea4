"""A call that is answered from memory: what its client, the books and the memory see of it."""

import asyncio

import pytest
from tests.services.call.parts import (
    ANSWERED,
    DONE,
    LAST,
    SHOWN,
    STREAMED,
    TEXT,
    Answered,
    Client,
    Ledger,
    Provider,
    body_of,
    breaks_off,
    budget,
    endpoint_of,
    served,
    world_of,
)
from tests.services.call.test_shape import ToSmall, polite

from pertoken.core.budgets import Axis
from pertoken.core.calls import CallLine
from pertoken.core.claims import Outcome
from pertoken.core.commands import OpenHold, Record, Settle
from pertoken.core.events import Event
from pertoken.ports.asked import AskedCall
from pertoken.ports.provider import ProviderFailed
from pertoken.ports.reuse import Hit, Note
from pertoken.services.serve import serve

NAMED = ((b"x-pertoken-idempotency-key", b"order 7"),)


class Memory:
    """Remembers the answers to requests by whom they belong to; an identical call waits for the one before."""

    def __init__(self) -> None:
        self.known: dict[tuple[str | None, bytes], Outcome] = {}
        self.under_way: dict[tuple[str | None, bytes], asyncio.Event] = {}
        self.told: list[tuple[Outcome | None, tuple[Event, ...]]] = []
        self.finds = 0

    async def find(self, asked: AskedCall) -> Hit | Note | None:
        """Return what is remembered, once it is."""
        self.finds += 1
        key = (asked.attribution.key, asked.body)
        while key in self.under_way:
            await self.under_way[key].wait()
        if key in self.known:
            return Hit(self.known[key], "exact")
        self.under_way[key] = asyncio.Event()
        return Taking(self, key)


class Taking:
    """Remembers the answer of one call."""

    def __init__(self, memory: Memory, key: tuple[str | None, bytes]) -> None:
        self._memory = memory
        self._key = key

    def end(self, outcome: Outcome | None, events: tuple[Event, ...]) -> None:
        """Remember a good answer, and let the others go on."""
        self._memory.told.append((outcome, events))
        if outcome is not None and outcome.body is not None:
            self._memory.known[self._key] = outcome
        self._memory.under_way.pop(self._key).set()


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_comes_again_is_answered_from_memory(stream: bool) -> None:
    """The same bytes in the same way, without a call to the provider, in its own name, for nothing."""
    pieces = STREAMED if stream else (ANSWERED,)
    provider = Provider(Answered(*pieces, headers=[(b"openai-model", b"m-1"), (b"set-cookie", b"a=b")]))
    ledger, lines = Ledger(), list[CallLine]()
    world = world_of(provider, ledger, reuse=Memory(), tell=lines.append)
    asked = body_of(stream=stream, **({"stream_options": {"include_usage": True}} if stream else {}))
    first, again = served(Client(asked), world), served(Client(asked), world)

    assert len(provider.sent) == 1
    assert (again.status, again.got) == (first.status, first.got) == (200, b"".join(pieces))
    assert again.told[b"x-pertoken-cache"] == b"hit"
    assert first.told[b"x-pertoken-cache"] == b"miss"
    assert again.told[b"openai-model"] == b"m-1"
    assert again.told[b"x-pertoken-cost"] == b"0"
    assert again.told[b"x-pertoken-changed"] == b"reused=exact"
    assert b"set-cookie" not in again.told
    paid, reused = ledger.events
    assert paid.cost_picos > 0
    assert (reused.cost_picos, dict(reused.quantities), reused.of.changed) == (0, {}, "reused=exact")
    assert reused.attribution == paid.attribution
    assert [(line.status, line.http, line.events[-1].cost_picos > 0) for line in lines] == [
        ("ok", 200, True), ("ok", 200, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("axis", "grows"), [(Axis.MONEY, False), (Axis.TOKENS, False), (Axis.REQUESTS, True)])
def test_a_hit_takes_nothing_from_a_budget(axis: Axis, grows: bool) -> None:
    """It holds nothing and spends nothing, also where nothing is left; it counts as one request."""
    ledger = Ledger(budget(10**15, axis=axis))
    world = world_of(ledger=ledger, reuse=Memory())
    served(Client(body_of()), world)
    [(_, spent)] = ledger.counted()
    served(Client(body_of()), world)

    assert ledger.counted() == [(0, spent + grows)]
    assert ledger.done() == ["OpenHold", "Settle", "Record"]


def test_a_hit_whose_event_is_not_on_disk_is_refused() -> None:
    """Nothing is answered that is not in the books."""
    ledger = Ledger()
    world = world_of(ledger=ledger, reuse=Memory())
    served(Client(body_of()), world)
    ledger.fails_at = Record
    client = served(Client(body_of()), world)

    assert (client.status, client.told[b"x-pertoken-refused"]) == (503, b"store_unavailable")
    assert len(ledger.events) == 1


class FiveOrSeven:
    """Charges 5 picos for what costs nothing, and else 7."""

    def price(self, event: Event) -> int:
        """Return the price of one event."""
        return 5 if event.cost_picos == 0 else 7


def test_a_customer_may_be_charged_for_a_hit() -> None:
    """What its price is, is asked as of any event."""
    ledger = Ledger()
    world = world_of(ledger=ledger, reuse=Memory(), pricing=FiveOrSeven())
    served(Client(body_of()), world)
    served(Client(body_of()), world)

    assert [event.price_picos for event in ledger.events] == [7, 5]


def test_a_call_that_its_client_names_is_answered_from_the_books() -> None:
    """Its name is one call's: it is not looked for in memory, and another request under that name is a conflict."""
    provider, ledger, memory = Provider(), Ledger(), Memory()
    world = world_of(provider, ledger, reuse=memory)
    served(Client(body_of()), world)
    first, again = served(Client(body_of(), NAMED), world), served(Client(body_of(), NAMED), world)
    other = served(Client(body_of(user="u"), NAMED), world)

    assert memory.finds == 1
    assert len(provider.sent) == 2
    assert (first.told[b"x-pertoken-cache"], b"x-pertoken-replayed" in first.told) == (b"miss", False)
    assert (again.got, again.told[b"x-pertoken-replayed"]) == (first.got, b"true")
    assert other.status == 409
    assert len(ledger.events) == 2


@pytest.mark.parametrize(
    ("answer", "fails_at"),
    [
        (ProviderFailed("it is away"), None),
        (Answered(b"{}", status=400), None),
        (Answered(b"{", breaks_off), None),
        (Answered(ANSWERED), OpenHold),
        (Answered(ANSWERED), Settle),
    ],
    ids=["away", "error", "cut", "not held", "not settled"],
)
def test_what_is_no_good_answer_is_not_remembered(
    answer: Answered | ProviderFailed, fails_at: type[OpenHold | Settle] | None
) -> None:
    """Who takes note is told once that there is none, and the next call is made."""
    ledger, memory, provider = Ledger(), Memory(), Provider(answer, Answered(ANSWERED))
    ledger.fails_at = fails_at
    world = world_of(provider, ledger, reuse=memory)
    served(Client(body_of()), world)
    assert [outcome for outcome, _ in memory.told] == [None]
    ledger.fails_at = None

    assert served(Client(body_of()), world).told[b"x-pertoken-cache"] == b"miss"
    assert not memory.under_way


def test_who_takes_note_sees_what_was_charged() -> None:
    """The event is the answer's own, so that what a hit avoids is known; the headers are the provider's."""
    memory, ledger = Memory(), Ledger()
    provider = Provider(Answered(ANSWERED, headers=[(b"x-request-id", b"req_1")]))
    served(Client(body_of()), world_of(provider, ledger, reuse=memory))

    assert memory.told == [(Outcome(200, ((b"x-request-id", b"req_1"),), ANSWERED, stream=False), tuple(ledger.events))]


def test_an_answer_whose_client_hung_up_is_remembered() -> None:
    """It was read to its end and paid for."""
    memory, client = Memory(), Client(body_of(stream=True))
    provider = Provider(Answered(TEXT, client.hang_up, LAST, DONE))
    world = world_of(provider, reuse=memory)
    served(client, world)
    again = served(Client(client.body), world)

    assert len(provider.sent) == 1
    assert again.got == TEXT + DONE


def test_identical_calls_share_one() -> None:
    """A memory may let a call wait for one that is under way; where that fails, the next is made."""
    provider = Provider(ProviderFailed("it is away"), Answered(ANSWERED))
    world = world_of(provider, reuse=Memory())
    clients = [Client(body_of()) for _ in range(5)]

    async def together() -> None:
        await asyncio.gather(*(serve(client, endpoint_of(), world) for client in clients))

    asyncio.run(together())
    assert sorted(client.status for client in clients) == [200, 200, 200, 200, 502]
    assert len(provider.sent) == 2


def test_a_memory_is_asked_for_what_would_be_sent() -> None:
    """After a policy has changed it; a hit says both. It is asked once, also where keys change meanwhile."""
    memory, ledger = Memory(), Ledger()
    ledger.stale = 2
    world = world_of(ledger=ledger, reuse=memory, shape=ToSmall())
    served(Client(polite()), world)
    again = served(Client(polite()), world)

    assert memory.finds == 2
    assert again.told[b"x-pertoken-changed"] == b"shortened=3, reused=exact"
    assert again.told[b"x-pertoken-model"] == b"m-small"
    assert ledger.events[-1].attribution.model == "m-small"


def test_nobody_is_asked_for_a_stranger() -> None:
    """A call whose key is not known is looked for nowhere."""
    memory, client = Memory(), Client(body_of())
    client.headers = ((SHOWN[0][0], b"Bearer sk-other"),)
    served(client, world_of(reuse=memory))

    assert (client.status, memory.finds) == (401, 0)
