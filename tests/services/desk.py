"""A desk that understands requests as the gateway does, at the shipped prices, and says what would be held."""

import json
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from pertoken.catalogs import covers, genai, history, providers, request_fields, rules
from pertoken.catalogs.limits import ModelLimits
from pertoken.core.admission import amount_of
from pertoken.core.directory import Key
from pertoken.core.errors import Refusal
from pertoken.core.money import format_amount
from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.trust import Trust
from pertoken.ports.exchange import Exchange
from pertoken.ports.headers import HeaderList
from pertoken.ports.ledger import Ledger
from pertoken.ports.provider import Provider
from pertoken.services.call.call import Call, End
from pertoken.services.call.hold import first_bound
from pertoken.services.call.identify import Caller, Shown
from pertoken.services.call.request import Request
from pertoken.services.call.understand import understand
from pertoken.services.offers import ModelRoute, Offers
from pertoken.services.world import World
from pertoken.wire import routes

AT_US = parse_time("2026-11-27T12:00:00Z")
LISTS = {name: row.prices_from for name, row in providers.registry().items() if row.prices_from}
RULES = request_fields.read()
UNTRIED = Trust()
HELLO = [{"role": "user", "content": "hi"}]
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI = "/v1beta/models/gemini-3.8-flash-tts:generateContent"
PRO = "/v1beta/models/gemini-3.1-pro-preview:generateContent"
EMBED = "/v1beta/models/gemini-embedding-001:embedContent"
CALLER = Caller(Key("key", "test", b"", None), Shown(None, {}))


@cache
def shipped_book() -> PriceBook:
    """Return the shipped price book, with what the registry knows of its sellers."""
    rows = [*genai.read(AT_US), *history.read(AT_US), *rules.read(AT_US)]
    return PriceBook(rows, Sellers(providers.names(), LISTS, covers=covers.read(), variants=providers.variants()))


class Desk:
    """Understands requests as the gateway does, and says what would be held."""

    def __init__(self, book: PriceBook, named: dict[str, ModelRoute] | None = None) -> None:
        self._book = book
        self._named = named or {}

    def understand(
        self, provider: str, path: str, body: object, headers: HeaderList, query: bytes
    ) -> Request | Refusal:
        """Return the request as the call's steps know it."""
        endpoint = routes.find(path)
        assert endpoint is not None, path
        known = providers.registry().get(provider)
        row = SimpleNamespace(
            name=provider,
            wire=endpoint.wire,
            output_cap="max_tokens",
            missing_key=None,
            prices_from=known.prices_from if known else (),
        )
        speakers = {provider: cast(Provider, row)}
        ledger = cast(Ledger, SimpleNamespace(prices=self._book))
        offers = Offers(ledger, speakers, self._named, ModelLimits(), RULES.served)
        world = cast(World, SimpleNamespace(offers=offers, rules=RULES))
        data = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        exchange = cast(Exchange, SimpleNamespace(body=data, headers=headers, query=query, heavy=None))
        call = Call(exchange, endpoint, "call_1", AT_US)
        call.caller = CALLER
        understood = understand(call, world)
        if isinstance(understood, End):
            assert understood.refusal is not None
            return understood.refusal
        return understood.request

    def held(
        self, provider: str, path: str, body: object, headers: HeaderList = (), query: bytes = b""
    ) -> int | Refusal:
        """Return what a request is held for, in picos, or why it is refused."""
        request = self.understand(provider, path, body, headers, query)
        if isinstance(request, Refusal):
            return request
        bound = first_bound(request, UNTRIED)
        return bound if isinstance(bound, Refusal) else amount_of(request, bound)

    def amount(self, *args: Any, **kwargs: Any) -> int:
        """Return what a request is held for, in picos."""
        held = self.held(*args, **kwargs)
        assert isinstance(held, int), held
        return held

    def refusal(self, *args: Any, **kwargs: Any) -> Refusal:
        """Return why a request is refused."""
        held = self.held(*args, **kwargs)
        assert isinstance(held, Refusal), format_amount(held)
        return held


def chat(model: str, **fields: object) -> dict[str, object]:
    """Return a chat completion of two letters."""
    return {"model": model, "messages": HELLO, "max_tokens": 100, **fields}


def message(model: str = "claude-sonnet-4-5", **fields: object) -> dict[str, object]:
    """Return a message of two letters."""
    return {"model": model, "messages": HELLO, "max_tokens": 100, **fields}


def respond(model: str = "gpt-5.6-sol", **fields: object) -> dict[str, object]:
    """Return a request of Responses."""
    return {"model": model, "input": "hi", "max_output_tokens": 100, **fields}


def generate(**fields: object) -> dict[str, object]:
    """Return a request of Gemini."""
    return {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 100}, **fields}
