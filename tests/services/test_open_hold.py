"""What a call is held for, and that it is decided on one directory from its beginning to its end."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from tests.factories import WHO
from tests.readers import Here

from pertoken.core.bounds import FAMILIES, Limits
from pertoken.core.budgets import Axis, Budget, CounterKey, Touch
from pertoken.core.commands import Held, OpenHold, Refused, Remaining, Result, Stale
from pertoken.core.directory import Directory
from pertoken.core.periods import FOREVER_US, Window
from pertoken.core.trust import Trust
from pertoken.core.usage import Completeness, Reading
from pertoken.counting.tokenizers import Tokenizers
from pertoken.services.call import hold
from pertoken.services.call.hold import Holding, open_hold
from pertoken.services.call.measure import disagreement
from pertoken.services.call.understand import Request
from pertoken.services.offers import Offer
from pertoken.wire import openai_chat

TEXT = "amber cedar delta ember forest " * 200  # 1,000 tokens, 6,200 bytes
READERS = Here(Tokenizers())
FULL = Remaining(
    Touch(CounterKey("b", "", 0), Budget("b", "b", Axis.TOKENS, 10, Window.TOTAL), FOREVER_US), held=0, spent=10
)


class Ledger:
    """Refuses the first hold, then sees a directory of another trust come, as another worker's settlement brings it."""

    def __init__(self, trust: Trust, later: Trust | None = None) -> None:
        self.directory = Directory(1, (), (), {("openai", "gpt-4o"): trust})
        self.later = later
        self.asked: list[OpenHold] = []

    async def submit(self, command: Any) -> Result:
        """Decide as the books would."""
        self.asked.append(command)
        if command.revision != self.directory.revision:
            return Stale()
        if len(self.asked) > 1:
            return Held(None)
        if self.later is not None:
            self.directory = Directory(2, (), (), {("openai", "gpt-4o"): self.later})
        return Refused(FULL, 1)


def request_of(**fields: Any) -> Any:
    """Return a request for gpt-4o with a cap on its output."""
    body = json.dumps({"model": "gpt-4o", "max_tokens": 10, "messages": [{"role": "user", "content": TEXT}], **fields})
    facts = openai_chat.read_request(body.encode(), None)
    provider: Any = SimpleNamespace(name="openai")
    offer = Offer(provider, "gpt-4o", (), FAMILIES["o200k"], Limits(), 0, FOREVER_US, "gpt-4o")
    endpoint: Any = SimpleNamespace(format=openai_chat)
    return Request(endpoint, facts, body.encode(), offer, WHO, 0, "gpt-4o")


def held_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, input_more: int = 0) -> Any:
    """Hold for the request; a price of nothing for what no price is needed for."""
    request = request_of()
    request = request._replace(facts=request.facts._replace(input_more=input_more))
    monkeypatch.setattr(hold, "amount_of", lambda _request, _bound: 1)
    world: Any = SimpleNamespace(ledger=ledger, readers=READERS, hold_ttl_us=1, owner="test")
    return asyncio.run(open_hold(request, "call_1", world))


def test_what_explains_a_tool_is_held_for_beside_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokens that explain a provider's own tool stand in no body: they are added to its bytes and to its count."""
    ledger = Ledger(Trust())
    held_for(ledger, monkeypatch, input_more=3_000)

    assert [asked.hold.tokens - 10 for asked in ledger.asked] == [9_300, 4_026]


@pytest.mark.parametrize(
    ("trust", "loose", "close"),
    [
        (Trust(), 6_300, 1_026),
        (Trust(0, 120, 100), 7_560, 6_228),  # what was contradicted is its bytes, but for the JSON around them
        (Trust(1_024, 400, 100), 26_224, 7_252),
        (Trust(0, 600, 120), 37_800, 7_474),
    ],
)
def test_what_is_held_for_the_input(trust: Trust, loose: int, close: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At first the body's bytes, and where those do not fit what is counted, both as far as the count is believed."""
    ledger = Ledger(trust)
    holding = held_for(ledger, monkeypatch)

    assert isinstance(holding, Holding)
    assert [asked.hold.tokens - 10 for asked in ledger.asked] == [loose, close]


def test_a_hold_is_decided_on_one_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that began on an older trust is sent back, also where it asks a second time, with a closer bound."""
    ledger = Ledger(Trust(), Trust(0, 400, 100))

    assert held_for(ledger, monkeypatch) == Stale()
    assert [asked.revision for asked in ledger.asked] == [1, 1]


def told(request: Any, reading: Reading, held: int = 1_026) -> Any:
    """Return what a reading says against what was held."""
    world: Any = SimpleNamespace(readers=READERS)
    return asyncio.run(disagreement(request, held, reading, world))


def test_a_provider_disagrees_where_it_says_so_itself() -> None:
    """More reported input than was held is a disagreement; no usage, a guess, or as much as held is none."""
    more = Reading({"input_tokens": 2_500, "output_tokens": 1}, Completeness.FINAL)
    said = told(request_of(), more)

    assert (said.provider, said.model, said.reported_tokens) == ("openai", "gpt-4o", 2_500)
    assert said.measured == (1_002, 1_026, 6_228)
    assert told(request_of(), more, held=2_500) is None
    assert told(request_of(), Reading(None, Completeness.MISSING)) is None
    assert told(request_of(), more._replace(contradiction="its parts exceed it")) is None
    assert told(request_of(), more._replace(completeness=Completeness.ESTIMATED)) is None


def test_only_a_text_that_is_seen_teaches() -> None:
    """Pictures, and input that the body does not show, say nothing about how text is counted."""
    more = Reading({"input_tokens": 10**6, "output_tokens": 1}, Completeness.FINAL)
    picture = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    with_picture = request_of(messages=[{"role": "user", "content": picture}])
    hidden = request_of()
    hidden = hidden._replace(facts=hidden.facts._replace(hidden_input="a stored conversation"))

    assert told(with_picture, more) is None
    assert told(hidden, more) is None
