"""What a request asks for, once it is understood."""

from typing import Final

from pertoken.core.bounds import Family, Limits
from pertoken.core.budgets import Attribution
from pertoken.core.facts import RequestFacts
from pertoken.core.rates import Rates
from pertoken.ports.provider import Provider
from pertoken.services.call.heavy import Heavy
from pertoken.services.offers import Offer
from pertoken.wire.format import Format
from pertoken.wire.routes import Endpoint


class Request:
    """A request understood: everything that the later steps decide on. Nothing of it changes.

    It is a class with fields of its own, and not a tuple: its fields are read often, and compiled that costs least.
    """

    __slots__ = (
        "asked_model", "attribution", "body", "cheaper", "endpoint", "facts", "fallbacks", "family", "folded", "format",
        "heavy", "limits", "model", "opened_at_us", "pictures", "priced_as", "provider", "rates", "warnings",
    )  # fmt: skip

    def __init__(
        self,
        endpoint: Endpoint,
        facts: RequestFacts,
        body: bytes,
        offer: Offer,
        *,
        attribution: Attribution,
        opened_at_us: int,
        asked_model: str,
        cheaper: str | None = None,
        fallbacks: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
        folded: tuple[str, ...] = (),
        heavy: Heavy | None = None,
    ) -> None:
        self.endpoint: Final[Endpoint] = endpoint
        self.format: Final[Format] = endpoint.format  # the wire format that the client speaks
        self.facts: Final[RequestFacts] = facts
        self.body: Final[bytes] = body
        self.heavy: Final[Heavy | None] = heavy  # the body, where it is read apart
        self.attribution: Final[Attribution] = attribution
        self.opened_at_us: Final[int] = opened_at_us
        self.asked_model: Final[str] = asked_model  # by the client; that of `facts` is another where one took over
        self.cheaper: Final[str | None] = cheaper  # the model name that may where a budget has too little left
        self.fallbacks: Final[tuple[str, ...]] = fallbacks  # the model names that may where the provider fails
        self.warnings: Final[tuple[str, ...]] = warnings  # what of its headers was not taken as it was sent
        self.folded: Final[tuple[str, ...]] = folded  # what its attribution has as `other`: the key has named enough
        # What was offered:
        self.provider: Final[Provider] = offer.provider  # who serves the call
        self.model: Final[str] = offer.model  # as the provider is asked for it
        self.priced_as: Final[str] = offer.priced_as  # the model whose price it has until the answer names another
        self.rates: Final[tuple[Rates, ...]] = offer.rates  # every set of prices that the answer could be rated at
        self.family: Final[Family] = offer.family  # how the model's tokens are counted
        self.limits: Final[Limits] = offer.limits  # how much the model takes and makes at most
        self.pictures: Final[tuple[str, ...]] = offer.pictures  # what the model may make unasked, and has a price for
