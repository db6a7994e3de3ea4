"""Steps 5 to 7: bound what the call can cost, quote it, and hold that much, durably, before anything is sent."""

from typing import NamedTuple, assert_never

from pertoken.core import bounds, rating
from pertoken.core.budgets import Axis, Budget, Step
from pertoken.core.claims import Claim
from pertoken.core.commands import Conflict, Duplicate, Held, Known, Look, OpenHold, Refused, Remaining, Stale
from pertoken.core.errors import Code, Refusal
from pertoken.core.holds import Hold
from pertoken.core.money import MAJOR_MAX, amount_max, format_amount
from pertoken.core.periods import DAY_US, FOREVER_US, US_PER_SECOND, format_time
from pertoken.core.rating import REQUESTS, Unpriced
from pertoken.core.trust import Trust
from pertoken.core.units import OUTPUT_UNITS, TOKEN_UNITS
from pertoken.core.usage import QUANTITY_MAX
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.call.count import count_request
from pertoken.services.call.measure import measure
from pertoken.services.call.reading import Sizes, read, sizes_of
from pertoken.services.call.understand import Request
from pertoken.services.world import World
from pertoken.wire.format import BadRequest

OUTPUT_TOKENS_MIN = 16  # a shorter cap than this is a refusal, not an answer
OUTPUT_TOKENS_DEFAULT = 131_072  # of a model whose own limit is not known: as much as all but a few make
OUTPUT_TOKENS_MOST = bounds.CONTEXT_TOKENS_DEFAULT  # no answer is longer: a client's higher cap becomes this one
ATTEMPTS_MAX = 5  # of fitting a call into what others leave; each but the first is smaller
NOTHING: frozenset[str] = frozenset()
LONG_CACHE = frozenset({"cache_write_1h_tokens"})


class Bound(NamedTuple):
    """The most a call can use: tokens by unit, and the cap it needs on the output."""

    quantities: dict[str, int]
    output_max: int  # per choice
    counted: bool  # False: from the body's length alone

    @property
    def tokens(self) -> int:
        """All tokens, of input and output."""
        return sum(quantity for unit, quantity in self.quantities.items() if unit in TOKEN_UNITS)


class Holding(NamedTuple):
    """An open hold, and what it changed in the request."""

    hold: Hold
    tightest: Remaining | None  # money budget with the least left
    output_cap: int | None  # to write into the request, None: leave it
    bound: Bound  # what the hold pays for
    claim: Claim | None = None  # the name that the client gave to the call
    warned: tuple[Remaining, ...] = ()  # counters that are nearly full, as their budgets say


class Cheaper(NamedTuple):
    """The call does not fit, and may go to another model."""

    model: str


async def open_hold(
    request: Request, call_id: str, world: World, claim: Claim | None = None
) -> Holding | Refusal | Stale | Known | Cheaper:
    """Hold the call's bound against every budget it touches. Stale means: keys or budgets changed, begin again.

    Where it does not fit, the tokens are counted, and then the steps of the budget that decided are tried in turn.
    Raises NotRead where nobody can count them now.
    """
    try:
        directory = world.ledger.directory
        trust = directory.trust(request.provider.name, request.model)
        foreign = await _refuse_another_currency(request, world)
        bound = first_bound(request, trust) if foreign is None else foreign
        if not isinstance(bound, Bound):
            return bound
        for attempts_left in reversed(range(ATTEMPTS_MAX)):
            amount = amount_of(request, bound)
            if isinstance(amount, Refusal):
                return amount
            hold = _hold(request, call_id, bound, amount, world)
            result = await world.ledger.submit(OpenHold(hold, directory.revision, claim))
            match result:
                case Held(tightest=tightest, warned=warned):
                    _learn_conversation(hold, world)
                    return Holding(hold, tightest, _cap_to_write(request, bound), bound, claim, warned)
                case Known():
                    return result
                case Refused(blocker=blocker):
                    smaller = await _shrink(request, bound, blocker, trust, world) if attempts_left else None
                    if smaller is not None:
                        bound = smaller
                        continue
                    return _cheaper_or_refused(request, result)
                case Stale() | Duplicate() | Conflict():
                    return Stale()
                case _:
                    assert_never(result)
        raise AssertionError("the last attempt ends in a hold or a refusal")
    except StoreUnavailable as error:
        return Refusal(Code.STORE_UNAVAILABLE, f"the ledger cannot be written, so no call is served: {error}")


def _cheaper_or_refused(request: Request, refused: Refused) -> Cheaper | Refusal:
    """Return what becomes of a call that does not fit and cannot be made smaller."""
    if request.cheaper is not None and _goes_cheaper(refused.blocker):
        return Cheaper(request.cheaper)
    return explain_refusal(refused, request.opened_at_us)


def _learn_conversation(hold: Hold, world: World) -> None:
    """Remember the conversation of a call that is made; the rest of its attribution is learnt from the books."""
    of = hold.attribution
    if of.conversation is not None and of.key is not None:
        world.census.learn_conversation(of.key, of.conversation, hold.opened_at_us // DAY_US)


async def _refuse_another_currency(request: Request, world: World) -> Refusal | Stale | None:
    foreign, revision = _in_another_currency(request, world), world.ledger.directory.revision
    if foreign is None:
        return None
    await world.ledger.submit(Look())  # no refusal by a directory that may be an old one
    return foreign if world.ledger.directory.revision == revision else Stale()


def _in_another_currency(request: Request, world: World) -> Refusal | None:
    """Refuse what a budget in another currency would have to count: no rate of exchange is known here."""
    for rates in request.rates:
        budgets = world.ledger.directory.budgets
        foreign = budgets.in_another_currency(request.attribution, request.opened_at_us, rates.currency)
        if foreign is not None:
            message = (
                f"{request.model} is priced in {rates.currency} and budget {foreign.name!r} is in {foreign.currency}: "
                f"give these calls a budget in {rates.currency}, out of that one's scope; see: pertoken budget status"
            )
            return Refusal(Code.BUDGET_EXCEEDED, message)
    return None


def first_bound(request: Request, trust: Trust) -> Bound | Refusal:
    """Return the bound that costs nothing: the body's bytes, and the sizes of its media."""
    facts, family = request.facts, request.family
    context = request.limits.context_tokens or bounds.CONTEXT_TOKENS_DEFAULT
    quantities: dict[str, int] = {}
    if facts.has_media:
        try:
            sizes = _sizes(request)
        except BadRequest as error:
            return Refusal(Code.INVALID_REQUEST, error.message, error.param)
        quantities = dict(sizes.media)
        text_max = bounds.byte_bound(sizes.text_bytes, family, tools=facts.has_tools)
        text_max += family.message_tokens * sizes.messages
    else:
        text_max = bounds.byte_bound(len(request.body), family, tools=facts.has_tools)
    text_max = trust.loose_bound(text_max) + facts.input_more
    if facts.hidden_input is not None:
        text_max = max(text_max, context)
    quantities["input_tokens"] = quantities.get("input_tokens", 0) + text_max
    output_max = _output_limit(request) if facts.output_max is None else min(facts.output_max, OUTPUT_TOKENS_MOST)
    return with_output(request, Bound(quantities, output_max, counted=False), output_max)


def with_output(request: Request, bound: Bound, output_max: int) -> Bound:
    """Return the bound with another cap on the output of each choice."""
    facts = request.facts
    quantities = {
        **bound.quantities,
        "output_tokens": output_max * facts.choices + facts.output_more,
        **dict(facts.units_max),
    }
    if facts.output_modalities:
        for modality in facts.output_modalities & {"audio", "image"}:
            quantities[f"output_{modality}_tokens"] = output_max * facts.choices
    for unit in request.offer.pictures:
        quantities[unit] = output_max * facts.choices
    if facts.web_searches_max and not _fee_covers_searches(request):
        quantities["web_searches"] = facts.web_searches_max + quantities.get("web_searches", 0)
    return Bound(quantities, output_max, bound.counted)


def _fee_covers_searches(request: Request) -> bool:
    """Tell whether each request is paid for, and no search: so it is at Perplexity, by the size of the search."""
    return all(
        tier.price(REQUESTS) is not None and tier.price("web_searches") is None
        for rates in request.rates
        for tier in rates.tiers
    )


def amount_of(request: Request, bound: Bound) -> int | Refusal:
    """Return what a bound costs at most, in picos: at the dearest of the prices that can apply."""
    impossible = NOTHING if request.facts.long_cache else LONG_CACHE
    dearest, currency = 0, _currency(request)
    for rates in request.rates:
        if rates.currency != currency:
            message = f"{request.model} may be charged in {currency} or in {rates.currency}, and nobody can say which"
            hint = f"no rate of exchange is known here; see: pertoken price show {request.model}"
            return Refusal(Code.PRICE_UNKNOWN, f"{message}: {hint}", "model")
        amount = rating.quote(bound.quantities, rates, impossible)
        if isinstance(amount, Unpriced):
            return Refusal(Code.PRICE_UNKNOWN, f"{amount.reason}; see: pertoken price show {request.model}", "model")
        dearest = max(dearest, amount)
    dearest *= request.facts.repeats
    if dearest > amount_max(currency) or bound.tokens > QUANTITY_MAX:
        asked = f"{format_amount(dearest, currency)} {currency} and {bound.tokens} tokens"
        most = f"{MAJOR_MAX} {currency} and {QUANTITY_MAX} tokens"
        message = f"this call may come to {asked}, and a call to {most} at most: ask for less output"
        return Refusal(Code.INVALID_REQUEST, message)
    return dearest


def explain_refusal(refused: Refused, now_us: int) -> Refusal:
    """Say which budget decided, its limit, what is spent and held, when it starts again, and how to look further."""
    blocker = refused.blocker
    budget = blocker.touch.budget
    who = f" for {budget.each} {blocker.touch.key.each!r}" if budget.each else ""
    until = blocker.touch.window_end_us
    resets = "it never resets" if until >= FOREVER_US else f"it resets at {format_time(until)}"
    message = (
        f"budget {budget.name!r}{who} of {_amount(budget, budget.limit)} a {budget.window} is exceeded: "
        f"{_amount(budget, blocker.spent)} spent, {_amount(budget, blocker.held)} held, "
        f"this call needs up to {_amount(budget, refused.needed)}; {resets}; see: pertoken budget status"
    )
    if budget.window == "total":
        message = message.replace(" a total ", " in total ")
    queues = Step.QUEUE in budget.steps
    if budget.axis is Axis.MONEY:
        waits = queues and blocker.held > 0
        return Refusal(Code.BUDGET_EXCEEDED, message, may_wait=waits, budget=budget.name)
    wait_s = 1 if budget.axis is Axis.CONCURRENT else max(1, -(-(until - now_us) // US_PER_SECOND))
    return Refusal(Code.RATE_LIMITED, message, retry_after_s=wait_s, may_wait=queues, budget=budget.name)


async def _shrink(request: Request, bound: Bound, blocker: Remaining, trust: Trust, world: World) -> Bound | None:
    """Return a closer or smaller bound that may fit what `blocker` leaves, None when there is none."""
    if blocker.touch.budget.axis not in (Axis.MONEY, Axis.TOKENS):
        return None
    was_loose = not bound.counted
    if was_loose:
        counted = await _count(request, bound, trust, world)
        if counted is not None:
            bound = counted
    facts = request.facts
    if (was_loose and facts.output_max is not None) or not _may_cap(request, blocker):
        return bound if was_loose else None  # the client's own cap is lowered only where counting does not help
    affordable = _affordable(request, bound, blocker)
    if affordable < min(max(OUTPUT_TOKENS_MIN, facts.output_min), bound.output_max):
        return None
    return with_output(request, bound, min(bound.output_max, affordable))


def _may_cap(request: Request, blocker: Remaining) -> bool:
    """Tell whether the output may be capped now: a step before it may have to be tried first."""
    steps = blocker.touch.budget.steps
    if Step.CAP not in steps:
        return False
    return not (_goes_cheaper(blocker) and request.cheaper and steps.index(Step.CHEAPER) < steps.index(Step.CAP))


def _goes_cheaper(blocker: Remaining) -> bool:
    return Step.CHEAPER in blocker.touch.budget.steps and blocker.touch.budget.axis is Axis.MONEY


async def _count(request: Request, bound: Bound, trust: Trust, world: World) -> Bound | None:
    """Return the bound by counting tokens, where that is closer than the byte bound. Raises NotRead."""
    if request.facts.hidden_input is not None:
        return bound._replace(counted=True)
    try:
        counts = await count_request(request, world)
    except BadRequest:
        return bound._replace(counted=True)
    text_max = trust.bound(measure(request, counts)) + request.facts.input_more
    linked = _sizes(request).media.get("input_tokens", 0) if counts.has_media else 0
    quantities = {**bound.quantities, "input_tokens": min(bound.quantities["input_tokens"], text_max + linked)}
    return bound._replace(quantities=quantities, counted=True)


def _affordable(request: Request, bound: Bound, blocker: Remaining) -> int:
    inputs = {unit: quantity for unit, quantity in bound.quantities.items() if unit not in OUTPUT_UNITS}
    choices, left = max(1, request.facts.choices), blocker.left // request.facts.repeats
    if blocker.touch.budget.axis is Axis.TOKENS:
        return max(0, left - _tokens(inputs) - request.facts.output_more) // choices
    amounts = [(rating.quote(inputs, rates), rating.quote({"output_tokens": 10**6}, rates)) for rates in request.rates]
    affordable = []
    for input_picos, million_picos in amounts:
        assert isinstance(input_picos, int)
        assert isinstance(million_picos, int)
        for_output = max(0, left - input_picos) * 10**6
        affordable.append(
            (for_output // million_picos - request.facts.output_more) // choices if million_picos else bound.output_max
        )
    return min(affordable)


def _hold(request: Request, call_id: str, bound: Bound, amount_picos: int, world: World) -> Hold:
    return Hold(
        call_id,
        request.attribution,
        amount_picos,
        bound.tokens * request.facts.repeats,
        request.opened_at_us,
        request.opened_at_us + world.hold_ttl_us,
        world.owner,
        _currency(request),
    )


def _currency(request: Request) -> str:
    """Return the currency that a call is held in: that of its prices, which is one; a free call has none."""
    return request.rates[0].currency if request.rates else "USD"


def _cap_to_write(request: Request, bound: Bound) -> int | None:
    """Return the cap that makes the bound true, where less is held than the model could make."""
    limit = _output_limit(request) if request.facts.output_max is None else request.facts.output_max
    return bound.output_max if bound.output_max < limit else None


def _output_limit(request: Request) -> int:
    """Return the most tokens one answer of the model can have."""
    limits = request.limits
    return limits.output_tokens_max or min(limits.context_tokens or OUTPUT_TOKENS_DEFAULT, OUTPUT_TOKENS_DEFAULT)


def _tokens(quantities: dict[str, int]) -> int:
    return sum(quantity for unit, quantity in quantities.items() if unit in TOKEN_UNITS)


def _sizes(request: Request) -> Sizes:
    """Return what a bound needs of a body with media. Raises BadRequest."""
    context = request.limits.context_tokens or bounds.CONTEXT_TOKENS_DEFAULT
    return read(sizes_of, request, request.format.name, request.family, context, request.model)


def _amount(budget: Budget, amount: int) -> str:
    if budget.axis is Axis.MONEY:
        return f"{format_amount(amount, budget.currency)} {budget.currency}"
    return f"{amount} {budget.axis if budget.axis is not Axis.CONCURRENT else 'concurrent calls'}"
