"""Who serves a model, and at what prices: decided once for each model and price book, then remembered."""

from collections.abc import Mapping
from typing import NamedTuple

from pertoken.core.bounds import Family, Limits, family_of
from pertoken.core.conditions import STANDARD, Context, context
from pertoken.core.errors import Code, Refusal
from pertoken.core.periods import FOREVER_US
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.ports import Ledger, ModelLimits, Provider

MEMORY_MAX = 10_000


class Route(NamedTuple):
    """Where calls for one configured model name go."""

    provider: str
    model: str
    priced_as: str | None = None  # the model whose price and size it has, None: its own
    cheaper: str | None = None  # the name that takes over where a budget has not enough left
    fallbacks: tuple[str, ...] = ()  # the names that are tried where the provider fails before it answers


class Offer(NamedTuple):
    """A provider's offer of a model: what a call to it can cost, and how its tokens are counted."""

    provider: Provider
    model: str  # as the provider is asked for it
    rates: tuple[Rates, ...]  # every set of prices that the answer could be rated at; empty for a call that is free
    family: Family
    limits: Limits
    valid_from_us: int
    valid_to_us: int
    priced_as: str  # the model whose price and size these are


class Offers:
    """Finds offers. Remembering them saves 20 us a call."""

    def __init__(
        self, ledger: Ledger, providers: Mapping[str, Provider], routes: Mapping[str, Route], limits: ModelLimits
    ) -> None:
        self._ledger = ledger
        self._providers = providers
        self.routes = routes
        self._limits = limits
        self._book: PriceBook | None = None
        self._memory: dict[tuple[str, str, str | None, str | None, bool], Offer] = {}

    def find(
        self, model: str, wire: str, now_us: int, *, service_tier: str | None, speed: str | None, bills: bool
    ) -> Offer | Refusal:
        """Return the offer for `model` to a client that speaks `wire`, or why there is none."""
        book = self._ledger.prices
        if book is not self._book or len(self._memory) > MEMORY_MAX:
            self._book, self._memory = book, {}
        key = (model, wire, service_tier, speed, bills)
        known = self._memory.get(key)
        if known is not None and known.valid_from_us <= now_us < known.valid_to_us:
            return known
        found = self._decide(book, model, wire, now_us, context(service_tier, speed=speed), bills=bills)
        if isinstance(found, Offer):
            self._memory[key] = found
        return found

    def _decide(
        self, book: PriceBook, model: str, wire: str, now_us: int, asked: Context, *, bills: bool
    ) -> Offer | Refusal:
        route = self._choose(book, model, wire, now_us)
        if isinstance(route, Refusal):
            return route
        priced_as = route.priced_as or route.model
        provider = self._providers[route.provider]
        rates: list[Rates] = []
        # The answer may come at the standard prices as well as at those of the tier that was asked for.
        contexts = (STANDARD,) if asked == STANDARD else (STANDARD, asked)
        for possible in contexts if bills else ():
            found = book.resolve(provider.name, priced_as, now_us, possible)
            if not isinstance(found, Rates):
                hint = f"see: pertoken price show {priced_as}, or add one: pertoken price add"
                return Refusal(Code.PRICE_UNKNOWN, f"{found.reason}; {hint}", "model")
            rates.append(found)
        return Offer(
            provider,
            route.model,
            tuple(rates),
            family_of(priced_as),
            self._sizes(provider, priced_as),
            max((one.valid_from_us for one in rates), default=0),
            min((one.valid_to_us for one in rates), default=FOREVER_US),
            priced_as,
        )

    def _sizes(self, provider: Provider, model: str) -> Limits:
        """Return the model's limits at its provider, else at the first whose models it sells."""
        found = (self._limits.find(name, model) for name in (provider.name, *provider.prices_from))
        return next((limits for limits in found if limits != Limits()), Limits())

    def _choose(self, book: PriceBook, model: str, wire: str, now_us: int) -> Route | Refusal:
        """Return where calls for `model` go: as configured, else the provider of this wire whose prices know it."""
        if model in self.routes:
            return self.routes[model]
        speakers = [name for name, provider in self._providers.items() if provider.wire == wire]
        if not speakers:
            message = f"no provider that speaks {wire} is configured; add one under providers"
            return Refusal(Code.UNKNOWN_MODEL, message, "model")
        knowing = book.providers_of(model, now_us, speakers)
        return Route(knowing[0] if knowing else speakers[0], model)
