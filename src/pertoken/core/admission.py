"""Decides which hold a call needs, and what to try if a budget has less left. No I/O."""

from typing import NamedTuple, Protocol

from pertoken.core import bounds, rating
from pertoken.core.axes import AXES, Needs, written
from pertoken.core.bounds import Family, Limits
from pertoken.core.budgets import Attribution, Budget, BudgetIndex, Mode, Step
from pertoken.core.commands import Refused, Remaining
from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.money import MAJOR_MAX, amount_max, format_amount
from pertoken.core.periods import FOREVER_US, US_PER_SECOND, format_time
from pertoken.core.rates import Rates
from pertoken.core.rating import REQUESTS, Unpriced
from pertoken.core.trust import Trust
from pertoken.core.units import OUTPUT_UNITS, TOKEN_UNITS
from pertoken.core.usage import QUANTITY_MAX, Quantities

OUTPUT_TOKENS_MIN = 16  # a shorter cap than this is a refusal, not an answer
OUTPUT_TOKENS_DEFAULT = 131_072  # of a model whose own limit is not known: as much as all but a few make
OUTPUT_TOKENS_MOST = bounds.CONTEXT_TOKENS_DEFAULT  # no answer is longer: a client's higher cap becomes this one
MILLION = 10**6
NOTHING: frozenset[str] = frozenset()
LONG_CACHE = frozenset({"cache_write_1h_tokens"})


class Ask(Protocol):
    """A call that wants to be admitted: all that the size of its hold depends on."""

    @property
    def facts(self) -> RequestFacts:
        """What its request says."""

    @property
    def model(self) -> str:
        """The model as its provider is asked for it."""

    @property
    def rates(self) -> tuple[Rates, ...]:
        """Every set of prices that the answer could be rated at; none for a call that is free."""

    @property
    def family(self) -> Family:
        """How the model's tokens are counted."""

    @property
    def limits(self) -> Limits:
        """How much the model takes and makes at most."""

    @property
    def pictures(self) -> tuple[str, ...]:
        """What the model may make unasked, and has a price for."""

    @property
    def cheaper(self) -> str | None:
        """The model name that may take over where a budget has not enough left."""


class Bound(NamedTuple):
    """The most a call can use: tokens by unit, and the cap it needs on the output."""

    quantities: dict[str, int]
    output_max: int  # per choice
    counted: bool  # False: from the body's length alone

    @property
    def tokens(self) -> int:
        """All tokens, of input and output."""
        return _tokens(self.quantities)


class Cheaper(NamedTuple):
    """The call does not fit, and may go to another model."""

    model: str


def bound_of_bytes(
    ask: Ask, text_bytes: int, trust: Trust, messages: int = 0, media: Quantities | None = None
) -> Bound:
    """Return the bound that costs nothing to compute: a number of bytes of text, and the tokens of `media` by unit.

    `messages` are counted where media are: their frames are then not among the bytes.
    """
    facts, family = ask.facts, ask.family
    quantities = {} if media is None else dict(media)
    text_max = bounds.byte_bound(text_bytes, family, tools=facts.has_tools) + family.message_tokens * messages
    text_max = trust.loose_bound(text_max) + facts.input_more
    if facts.hidden_input is not None:
        text_max = max(text_max, ask.limits.context_tokens or bounds.CONTEXT_TOKENS_DEFAULT)
    quantities["input_tokens"] = quantities.get("input_tokens", 0) + text_max
    output_max = _output_limit(ask) if facts.output_max is None else min(facts.output_max, OUTPUT_TOKENS_MOST)
    return with_output(ask, Bound(quantities, output_max, counted=False), output_max)


def with_output(ask: Ask, bound: Bound, output_max: int) -> Bound:
    """Return the bound with another cap on the output of each choice."""
    facts = ask.facts
    quantities = {
        **bound.quantities,
        "output_tokens": output_max * facts.choices + facts.output_more,
        **dict(facts.units_max),
    }
    if facts.output_modalities:
        for modality in facts.output_modalities & {"audio", "image"}:
            quantities[f"output_{modality}_tokens"] = output_max * facts.choices
    for unit in ask.pictures:
        quantities[unit] = output_max * facts.choices
    if facts.web_searches_max and not _fee_covers_searches(ask):
        quantities["web_searches"] = facts.web_searches_max + quantities.get("web_searches", 0)
    return Bound(quantities, output_max, bound.counted)


def amount_of(ask: Ask, bound: Bound) -> int | Refusal:
    """Return what a bound costs at most, in picos: at the dearest of the prices that can apply."""
    impossible = NOTHING if ask.facts.long_cache else LONG_CACHE
    dearest, currency = 0, currency_of(ask)
    for rates in ask.rates:
        if rates.currency != currency:
            message = f"{ask.model} may be charged in {currency} or in {rates.currency}, and it is not known which"
            hint = f"pertoken knows no exchange rates; see: pertoken price show {ask.model}"
            return Refusal(Code.PRICE_UNKNOWN, f"{message}: {hint}", "model")
        amount = rating.quote(bound.quantities, rates, impossible)
        if isinstance(amount, Unpriced):
            return Refusal(Code.PRICE_UNKNOWN, f"{amount.reason}; see: pertoken price show {ask.model}", "model")
        dearest = max(dearest, amount)
    dearest *= ask.facts.repeats
    if dearest > amount_max(currency) or bound.tokens > QUANTITY_MAX:
        asked = f"{format_amount(dearest, currency)} {currency} and {bound.tokens} tokens"
        most = f"{MAJOR_MAX} {currency} and {QUANTITY_MAX} tokens"
        message = f"this call could reach {asked}; the most is {most}: ask for less output"
        return Refusal(Code.INVALID_REQUEST, message)
    return dearest


def currency_of(ask: Ask) -> str:
    """Return the currency that a call is held in: that of its prices, which is one; a free call has none."""
    return ask.rates[0].currency if ask.rates else "USD"


def in_another_currency(ask: Ask, attribution: Attribution, opened_at_us: int, budgets: BudgetIndex) -> Refusal | None:
    """Refuse what a budget in another currency would have to count: no rate of exchange is known here."""
    for rates in ask.rates:
        foreign = _foreign(attribution, opened_at_us, budgets, rates.currency)
        if foreign is not None:
            message = (
                f"{ask.model} is priced in {rates.currency} and budget {foreign.name!r} is in {foreign.currency}: "
                f"give these calls a budget in {rates.currency}, out of that one's scope; see: pertoken budget status"
            )
            return Refusal(Code.BUDGET_EXCEEDED, message)
    return None


def _foreign(attribution: Attribution, opened_at_us: int, budgets: BudgetIndex, currency: str) -> Budget | None:
    """Return a hard budget on money that the call touches and that is in another currency."""
    if budgets.currencies <= {currency}:
        return None
    for touch in budgets.touched(attribution, opened_at_us):
        budget = touch.budget
        if AXES[budget.axis].is_money and budget.currency != currency and budget.mode is Mode.HARD:
            return budget
    return None


def closer(bound: Bound, input_max: int) -> Bound:
    """Return a bound whose input was counted: never more than it was before."""
    quantities = {**bound.quantities, "input_tokens": min(bound.quantities["input_tokens"], input_max)}
    return bound._replace(quantities=quantities, counted=True)


def cap_to_write(ask: Ask, bound: Bound) -> int | None:
    """Return the cap that makes the bound true, where less is held than the model could make."""
    limit = _output_limit(ask) if ask.facts.output_max is None else ask.facts.output_max
    return bound.output_max if bound.output_max < limit else None


def may_shrink(blocker: Remaining) -> bool:
    """Tell whether a smaller hold can help: it is one call all the same."""
    return AXES[blocker.touch.budget.axis].shrinks


def smaller(ask: Ask, bound: Bound, blocker: Remaining, *, was_loose: bool) -> Bound | None:
    """Return a bound that may fit what `blocker` leaves, None where there is none.

    `bound` is counted by now. Where it was not when it was refused, counting alone may have helped.
    """
    facts = ask.facts
    if (was_loose and facts.output_max is not None) or not bound.output_max or not _may_cap(ask, blocker):
        return bound if was_loose else None  # the client's own cap is lowered only where counting does not help
    affordable = _affordable(ask, bound, blocker)
    if affordable < min(max(OUTPUT_TOKENS_MIN, facts.output_min), bound.output_max):
        return None
    return with_output(ask, bound, min(bound.output_max, affordable))


def cheaper_or_refused(ask: Ask, refused: Refused, now_us: int) -> Cheaper | Refusal:
    """Return what becomes of a call that does not fit and cannot be made smaller."""
    if ask.cheaper is not None and _goes_cheaper(refused.blocker):
        return Cheaper(ask.cheaper)
    return explain_refusal(refused, now_us)


def explain_refusal(refused: Refused, now_us: int) -> Refusal:
    """Say which budget decided, its limit, what is spent and held, when it starts again, and how to look further."""
    blocker = refused.blocker
    budget = blocker.touch.budget
    who = f" for {budget.each} {blocker.touch.key.each!r}" if budget.each else ""
    until = blocker.touch.window_end_us
    resets = "it never resets" if until >= FOREVER_US else f"it resets at {format_time(until)}"
    is_full = blocker.spent + blocker.held >= budget.limit
    became = "is used up" if is_full else "has not enough left"
    message = (
        f"budget {budget.name!r}{who} of {_amount(budget, budget.limit)} a {budget.window} {became}: "
        f"{_amount(budget, blocker.spent)} spent, {_amount(budget, blocker.held)} held, "
        f"this call needs up to {_amount(budget, refused.needed)}; {resets}; see: pertoken budget status"
    )
    if budget.window == "total":
        message = message.replace(" a total ", " in total ")
    row, queues = AXES[budget.axis], Step.QUEUE in budget.steps
    if row.is_money:
        waits = queues and blocker.held > 0
        return Refusal(Code.BUDGET_EXCEEDED, message, may_wait=waits, budget=budget.name)
    wait_s = 1 if row.is_gauge else max(1, -(-(until - now_us) // US_PER_SECOND))
    return Refusal(Code.RATE_LIMITED, message, retry_after_s=wait_s, may_wait=queues, budget=budget.name)


def _fee_covers_searches(ask: Ask) -> bool:
    """Tell whether each request is paid for, and no search: so it is at Perplexity, by the size of the search."""
    return all(
        tier.price(REQUESTS) is not None and tier.price("web_searches") is None
        for rates in ask.rates
        for tier in rates.tiers
    )


def _may_cap(ask: Ask, blocker: Remaining) -> bool:
    """Tell whether the output may be capped now: a step before it may have to be tried first."""
    steps = blocker.touch.budget.steps
    if Step.CAP not in steps:
        return False
    return not (_goes_cheaper(blocker) and ask.cheaper and steps.index(Step.CHEAPER) < steps.index(Step.CAP))


def _goes_cheaper(blocker: Remaining) -> bool:
    budget = blocker.touch.budget
    return Step.CHEAPER in budget.steps and AXES[budget.axis].gets_cheaper


def _affordable(ask: Ask, bound: Bound, blocker: Remaining) -> int:
    """Return how much output of each choice fits what is left, whatever the budget counts: at the dearest prices."""
    budget = blocker.touch.budget
    needed = AXES[budget.axis].needed
    inputs = {unit: quantity for unit, quantity in bound.quantities.items() if unit not in OUTPUT_UNITS}
    choices, left = max(1, ask.facts.choices), blocker.left // ask.facts.repeats
    affordable = []
    for rates in ask.rates:
        input_picos, million_picos = rating.quote(inputs, rates), rating.quote({"output_tokens": MILLION}, rates)
        assert isinstance(input_picos, int)
        assert isinstance(million_picos, int)
        for_output = left - needed(Needs(input_picos, rates.currency, _tokens(inputs), 1), budget)
        per_million = needed(Needs(million_picos, rates.currency, MILLION, 0), budget)
        tokens = max(0, for_output) * MILLION // per_million - ask.facts.output_more if per_million else None
        affordable.append(bound.output_max if tokens is None else tokens // choices)
    return min(affordable)


def _output_limit(ask: Ask) -> int:
    """Return the most tokens one answer of the model can have."""
    limits = ask.limits
    return limits.output_tokens_max or min(limits.context_tokens or OUTPUT_TOKENS_DEFAULT, OUTPUT_TOKENS_DEFAULT)


def _tokens(quantities: dict[str, int]) -> int:
    return sum(quantity for unit, quantity in quantities.items() if unit in TOKEN_UNITS)


def _amount(budget: Budget, amount: int) -> str:
    row = AXES[budget.axis]
    if row.is_money:
        return f"{written(amount, budget)} {budget.currency}"
    return f"{amount} {'concurrent ' if row.is_gauge else ''}{row.unit}"
