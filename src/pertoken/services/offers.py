"""Which provider serves a model, and at what prices: decided once for each model and price book, then cached."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import combinations
from typing import NamedTuple, Protocol

from pertoken.core.bounds import Family, Limits, family_of, widest
from pertoken.core.conditions import STANDARD, Conditions, Context, context
from pertoken.core.errors import Code, Refusal
from pertoken.core.periods import FOREVER_US
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.units import TOKEN_UNITS
from pertoken.ports.ledger import Ledger
from pertoken.ports.provider import Provider
from pertoken.ports.tokens import ModelLimits
from pertoken.services.models import Model, callable_models, closest

MEMORY_MAX = 10_000
NAME_SHOWN_MAX = 200
PICTURES = ("output_image_tokens", "output_video_tokens")


class ModelRoute(NamedTuple):
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
    pictures: tuple[str, ...] = ()  # what the model may make unasked, and has a price for


def with_rates(offer: Offer, rates: tuple[Rates, ...]) -> Offer:
    """Return the offer at other prices."""
    return offer._replace(rates=rates, pictures=_pictures(rates))


def _pictures(rates: Iterable[Rates]) -> tuple[str, ...]:
    rows = [tier.rows for one in rates for tier in one.tiers]
    return tuple(unit for unit in PICTURES if any(unit in one for one in rows))


class MayServe(Protocol):
    """What a provider may serve a call as, other than asked."""

    def __call__(self, provider: str, key: str, value: str) -> tuple[str, ...]:
        """Return the other values of a condition that a call which asked for this one may be served at."""


class AskedFor(NamedTuple):
    """What a request says of the conditions that prices depend on, in its own words."""

    service_tier: str | None = None
    speed: str | None = None
    region: str | None = None
    attributes: Conditions = ()


class Offers:
    """Finds offers. Remembering them saves 20 us a call."""

    def __init__(
        self,
        ledger: Ledger,
        providers: Mapping[str, Provider],
        routes: Mapping[str, ModelRoute],
        limits: ModelLimits,
        may_serve: MayServe,
    ) -> None:
        self._ledger = ledger
        self._providers = providers
        self.routes = routes
        self._limits = limits
        self._may_serve = may_serve
        self._book: PriceBook | None = None
        self._memory: dict[tuple[str, str, AskedFor, bool], Offer] = {}

    def find(self, model: str, wire: str, now_us: int, asked: AskedFor, *, bills: bool = True) -> Offer | Refusal:
        """Return the offer for `model` to a client that speaks `wire`, or why it has no offer."""
        book = self._ledger.prices
        if book is not self._book or len(self._memory) > MEMORY_MAX:
            self._book, self._memory = book, {}
        key = (model, wire, asked, bills)
        known = self._memory.get(key)
        if known is not None and known.valid_from_us <= now_us < known.valid_to_us:
            return known
        found = self._decide(book, model, wire, now_us, asked, bills=bills)
        if isinstance(found, Offer):
            self._memory[key] = found
        return found

    def or_any_of(self, offer: Offer, models: Iterable[str], now_us: int, asked: AskedFor) -> Offer | Refusal:
        """Return the offer of a call that `offer`'s provider may serve with any of `models` instead.

        Where the answer names none of them, it is charged as the one that is the dearest by a token in and one out.
        """
        for model in models:
            rates = self._rates(self._ledger.prices, offer.provider.name, model, now_us, asked)
            if isinstance(rates, Refusal):
                return rates
            dearer = _by_tokens(rates) > _by_tokens(offer.rates)
            offer = with_rates(offer, offer.rates + tuple(rates))._replace(
                family=widest(offer.family, family_of(model)),
                limits=_larger(offer.limits, self._sizes(offer.provider, model)),
                priced_as=model if dearer else offer.priced_as,
            )
        return offer

    def callable(self, wire: str, now_us: int) -> Iterator[Model]:
        """Yield each model that a client which speaks `wire` can call now."""
        routes = {name: route.provider for name, route in self.routes.items()}
        return callable_models(self._ledger.prices, self._providers, routes, wire, now_us)

    def sold_by_anybody(self, model: str, now_us: int, tier: str) -> list[Rates]:
        """Return the prices that are known of a model in a tier, whoever sells it."""
        return self._ledger.prices.sold_by_anybody(model, now_us, context(tier))

    def _decide(
        self, book: PriceBook, model: str, wire: str, now_us: int, asked: AskedFor, *, bills: bool
    ) -> Offer | Refusal:
        route = self._choose(book, model, wire, now_us)
        if isinstance(route, Refusal):
            return route
        priced_as = route.priced_as or route.model
        provider = self._providers[route.provider]
        rates = self._rates(book, provider.name, priced_as, now_us, asked) if bills else []
        if isinstance(rates, Refusal):
            return rates
        if provider.missing_key is not None:
            message = f"the gateway has no key for {provider.name}; its operator sets {provider.missing_key}"
            return Refusal(Code.PROVIDER_KEY_MISSING, message, "model")
        return Offer(
            provider,
            route.model,
            tuple(rates),
            family_of(priced_as),
            self._sizes(provider, priced_as),
            max((one.valid_from_us for one in rates), default=0),
            min((one.valid_to_us for one in rates), default=FOREVER_US),
            priced_as,
            _pictures(rates),
        )

    def _rates(self, book: PriceBook, provider: str, model: str, now_us: int, asked: AskedFor) -> list[Rates] | Refusal:
        """Return every set of prices that a call to `model` could be rated at, or which one is not known."""
        rates: list[Rates] = []
        for possible in _subsets(asked):
            found = book.resolve(provider, model, now_us, possible)
            if not isinstance(found, Rates):
                hint = f"see: pertoken price show {model}, or add one: pertoken price add"
                return Refusal(Code.PRICE_UNKNOWN, f"{found.reason}; {hint}", "model")
            rates.append(found)
        for possible in self._unasked(provider, asked):
            found = book.resolve(provider, model, now_us, possible)
            if isinstance(found, Rates):  # a tier that the model does not have cannot be served
                rates.append(found)
        return rates

    def _unasked(self, provider: str, asked: AskedFor) -> Iterator[Context]:
        """Yield what the provider may serve the call as, though it was not asked for."""
        for tier in self._may_serve(provider, "service_tier", (asked.service_tier or "").lower()):
            yield context(tier, speed=asked.speed, region=asked.region, attributes=asked.attributes)
        for key, value in asked.attributes:
            for other in self._may_serve(provider, key, value):
                attributes = tuple(sorted({**dict(asked.attributes), key: other}.items()))
                yield context(asked.service_tier, speed=asked.speed, region=asked.region, attributes=attributes)

    def _sizes(self, provider: Provider, model: str) -> Limits:
        """Return the model's limits at its provider, else at the first whose models it sells."""
        found = (self._limits.find(name, model) for name in (provider.name, *provider.prices_from))
        return next((limits for limits in found if limits != Limits()), Limits())

    def _choose(self, book: PriceBook, model: str, wire: str, now_us: int) -> ModelRoute | Refusal:
        """Return where calls for `model` go: as configured, else the provider of this wire whose prices know it."""
        if model in self.routes:
            return self.routes[model]
        speakers = [name for name, provider in self._providers.items() if provider.wire == wire]
        if not speakers:
            message = f"no provider that speaks {wire} is configured; add one under providers"
            return Refusal(Code.UNKNOWN_MODEL, message, "model")
        knowing = book.providers_of(model, now_us, speakers)
        if knowing:
            with_key = (name for name in knowing if self._providers[name].missing_key is None)
            return ModelRoute(next(with_key, knowing[0]), model)
        near = next((name for name in speakers if self._is_known(book, name, model)), None)
        return self._unknown(book, model, wire, now_us) if near is None else ModelRoute(near, model)

    def _is_known(self, book: PriceBook, provider: str, model: str) -> bool:
        """Tell whether any price of tokens, in force or not, speaks of a model; rows for all models do not."""
        sellers = (provider, *self._providers[provider].prices_from)
        rows = (row for name in sellers for _, row in book.candidates(name, model))
        return any(row.unit in TOKEN_UNITS and not row.is_factor for row in rows)

    def _unknown(self, book: PriceBook, model: str, wire: str, now_us: int) -> Refusal:
        """Return what helps somebody who named a model that nobody here sells: most have misspelt it."""
        shown = model if len(model) <= NAME_SHOWN_MAX else f"{model[:NAME_SHOWN_MAX]}..."
        elsewhere = [name for name, provider in self._providers.items() if provider.wire != wire]
        sellers = book.providers_of(model, now_us, elsewhere)
        meant = closest(model, self.callable(wire, now_us))
        if sellers:
            other = self._providers[sellers[0]].wire
            hint = f"{sellers[0]} sells it, but only to clients that speak {other}"
        elif meant is not None:
            hint = f"did you mean {meant}?"
        else:
            hint = f"a new model needs a price first: pertoken price add {shown}"
        message = f"there is no model {shown!r} here for clients that speak {wire}; {hint}"
        return Refusal(Code.UNKNOWN_MODEL, message, "model")


def _subsets(asked: AskedFor) -> list[Context]:
    """Return the standard, and every part of what was asked for: a provider may grant one thing and not another."""
    given = [(name, value) for name, value in zip(asked._fields, asked, strict=True) if value]
    parts = [dict(part) for size in range(len(given) + 1) for part in combinations(given, size)]
    contexts = [
        context(
            part.get("service_tier"),
            speed=part.get("speed"),
            region=part.get("region"),
            attributes=part.get("attributes", ()),
        )
        for part in parts
    ]
    return list(dict.fromkeys((STANDARD, *contexts)))


def _by_tokens(rates: Iterable[Rates]) -> Fraction:
    """Return what a token of input and one of output cost at the dearest."""
    dearest = Fraction(0)
    for tier in (tier for one in rates for tier in one.tiers):
        prices = [tier.price(unit) for unit in ("input_tokens", "output_tokens")]
        dearest = max(
            dearest, sum((Fraction(one.amount_picos, one.per) for one in prices if one is not None), Fraction(0))
        )
    return dearest


def _larger(one: Limits, other: Limits) -> Limits:
    """Return limits that hold for both of two models; what is not known of one is not known."""
    pairs = zip(one, other, strict=True)
    return Limits(*(None if mine is None or its is None else max(mine, its) for mine, its in pairs))
