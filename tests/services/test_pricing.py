"""What one use costs: as served, by each model that took part, at one's own prices or another's list."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import price_row

from pertoken.catalogs import covers, genai, history, providers, rules
from pertoken.core.conditions import Context, context
from pertoken.core.events import EventStatus
from pertoken.core.money import amount_max, divide_half_even, format_amount
from pertoken.core.periods import FOREVER_US, parse_time
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.rates import Rates
from pertoken.core.units import DIMENSIONS
from pertoken.core.usage import QUANTITY_MAX, Used
from pertoken.services.pricing import Charge, HeldFor, Served, charge, charge_surely, to_conditions, to_context
from pertoken.wire import anthropic_messages

AT_US = parse_time("2026-11-23T12:00:00Z")
FACTOR_MAX = 10  # no list multiplies a price by more
LISTS = {name: row.prices_from for name, row in providers.registry().items() if row.prices_from}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Return the shipped price book, with what the registry knows of its sellers."""
    rows = [*genai.read(AT_US), *history.read(AT_US), *rules.read(AT_US)]
    as_stated = frozenset(name for name, row in providers.registry().items() if row.charges_as_stated)
    return PriceBook(rows, Sellers(providers.names(), LISTS, as_stated, covers.read()))


def cost(book: PriceBook, provider: str, model: str, usage: dict[str, int], of: Context | None = None) -> str:
    """Return the cost of a usage, or why it has none."""
    made = charge(book, Served(provider, model, None, AT_US, of or context()), usage)
    return format_amount(made.cost_picos) if made.status is EventStatus.PRICED else str(made.reason)


@pytest.mark.parametrize(
    ("provider", "model", "usage", "asked", "expected"),
    [
        # Responses, gpt-5.6-sol: 200 x 4 + 2,000 x 0.4 + 400 x 5 + 300 x 20 micro-dollars; priority costs twice
        ("openai", "gpt-5.6-sol", {"input_tokens": 2_600, "cache_read_tokens": 2_000, "cache_write_tokens": 400,
                                   "output_tokens": 300, "reasoning_tokens": 200}, context(), "0.0096"),
        ("openai", "gpt-5.6-sol", {"input_tokens": 2_600, "cache_read_tokens": 2_000, "cache_write_tokens": 400,
                                   "output_tokens": 300, "reasoning_tokens": 200}, context("priority"), "0.0192"),
        ("anthropic", "claude-opus-5-5", {"input_tokens": 6_100, "cache_read_tokens": 5_000,
                                          "cache_write_tokens": 1_000, "cache_write_1h_tokens": 400,
                                          "output_tokens": 200, "web_searches": 2}, context(), "0.0316"),
        # In the US alone tokens cost a tenth more, searches do not: 0.0116 x 1.1 + 0.02
        ("anthropic", "claude-opus-5-5", {"input_tokens": 6_100, "cache_read_tokens": 5_000,
                                          "cache_write_tokens": 1_000, "cache_write_1h_tokens": 400,
                                          "output_tokens": 200, "web_searches": 2}, context(region="us"), "0.03276"),
        ("google", "gemini-2.5-pro", {"input_tokens": 250_000, "cache_read_tokens": 50_000, "output_tokens": 4_000,
                                      "reasoning_tokens": 3_000}, context(), "0.5725"),
        ("xai", "grok-4.3", {"input_tokens": 1_000, "output_tokens": 100, "reasoning_tokens": 90}, context(), "0.0015"),
        ("groq", "whisper-large-v3", {"seconds": 3}, context(), "0.000308333333"),
        ("azure", "gpt-4o", {"input_tokens": 1_000, "output_tokens": 0}, context(), "0.0025"),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:acme::x1", {"input_tokens": 1_000, "cache_read_tokens": 500,
                                                            "output_tokens": 100}, context(), "0.00082"),
        ("groq", "gpt-4o", {"input_tokens": 1_000}, context(), "no price known for 'gpt-4o' at groq"),
    ],
)  # fmt: skip
def test_worked_examples(
    book: PriceBook, provider: str, model: str, usage: dict[str, int], asked: Context, expected: str
) -> None:
    """Providers' own examples to the last digit; another name of a provider and another's list are found."""
    assert cost(book, provider, model, usage, asked) == expected


def test_a_list_that_begins_later_ends_what_was_taken_before() -> None:
    """A provider's own first price ends the use of another's list at its instant, also from memory."""
    rows = history.read(AT_US)
    own = next(row for row in rows if row.model == "gpt-4o" and row.unit == "input_tokens")
    rows.append(
        own._replace(provider="azure", amount_picos=7 * 10**12, valid_from_us=AT_US, price_id="pr_own")._replace(
            valid_to_us=FOREVER_US
        )
    )
    book = PriceBook(rows, Sellers({}, {"azure": ("openai",)}))

    def price(at_us: int) -> int:
        rates = book.resolve("azure", "gpt-4o", at_us)
        assert isinstance(rates, Rates)
        return rates.at(0).rows["input_tokens"].amount_picos

    assert [price(at) // 10**11 for at in (AT_US - 1, AT_US, AT_US - 2, AT_US + 1)] == [25, 70, 25, 70]


def test_each_model_that_took_part_has_its_own_price(book: PriceBook) -> None:
    """An answer whose iterations were two models' is charged part by part; the sum of both is the usage."""
    body = b"""{"model": "claude-opus-4-8", "id": "msg_1", "usage": {"input_tokens": 100, "output_tokens": 30,
        "iterations": [
            {"type": "message", "model": "claude-opus-4-8", "input_tokens": 100, "output_tokens": 20},
            {"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 1000, "output_tokens": 10}]}}"""
    reading = anthropic_messages.read_answer(body)
    served = Served("anthropic", "claude-opus-4-8", reading.model, AT_US, context())

    assert reading.quantities == {"input_tokens": 1_100, "output_tokens": 30}
    assert [model for model, _ in reading.parts] == ["claude-opus-4-8", "claude-haiku-4-5"]
    charged = charge(book, served, reading.quantities, parts=reading.parts)
    assert format_amount(charged.cost_picos) == "0.00205"  # 100 x 5 + 20 x 25 + 1,000 x 1 + 10 x 5 micro-dollars
    unknown = charge(book, served, reading.quantities, parts=(*reading.parts, ("claude-99", {"input_tokens": 1})))
    assert isinstance(unknown, Charge)


@pytest.mark.parametrize("made", [context(), context("flex", batch=True, speed="fast", region="us")])
def test_a_context_survives_being_kept(made: Context) -> None:
    """What an event keeps of its context is the context it is rated again in."""
    assert to_context(to_conditions(made)) == made


def test_a_part_without_a_price_makes_nothing_free(book: PriceBook) -> None:
    """Tokens are charged though a search has no price; the event is unpriced and says why."""
    served = Served("groq", "openai/gpt-oss-120b", None, AT_US, context())
    tokens = {"input_tokens": 1_000_000, "output_tokens": 0}
    alone, with_search = charge(book, served, tokens), charge(book, served, {**tokens, "map_queries": 2})

    assert alone.status is EventStatus.PRICED
    assert with_search.status is EventStatus.UNPRICED
    assert with_search.cost_picos == alone.cost_picos > 0
    assert "map_queries" in str(with_search.reason)


COVER = HeldFor(7_500_000_000, "USD", {"input_tokens": 1_000, "output_tokens": 1_000})
SOUND = {"input_tokens": 100, "input_audio_tokens": 100, "output_tokens": 0}
SMALL = {"input_tokens": 100, "output_tokens": 20}


@pytest.mark.parametrize(
    ("provider", "model", "asked"),
    [
        ("openai", "gpt-4o-mini", context("scale")),
        ("anthropic", "claude-haiku-4-5", context("priority")),
        ("groq", "openai/gpt-oss-120b", context("performance")),
        ("google-vertex", "gemini-2.5-pro", context("provisioned")),
        ("openrouter", "openai/gpt-4o-mini", context("provisioned")),
        ("openai", "gpt-4o-mini", context(speed="warp")),
    ],
)
def test_what_no_price_says_is_charged_at_what_was_held(
    book: PriceBook, provider: str, model: str, asked: Context
) -> None:
    """A call that is served in a tier without a price costs what was held for it, in one line, and stays unpriced."""
    charged = charge_surely(book, Served(provider, model, None, AT_US, asked), Used(SMALL), COVER)

    assert charged.status is EventStatus.UNPRICED
    assert charged.reason
    assert (charged.currency, charged.cost_picos) == ("USD", COVER.amount_picos)
    assert charged.lines == (("provisional", 1, "held", COVER.amount_picos),)


def test_more_than_was_held_is_charged_at_the_dearest_rates(book: PriceBook) -> None:
    """Where an unpriced use exceeds its hold, the model's dearest tier decides."""
    served = Served("openai", "gpt-4o-mini", None, AT_US, context("scale"))
    charged = charge_surely(book, served, Used({"input_tokens": 10**8, "output_tokens": 0}), COVER)
    priority = charge(book, served._replace(context=context("priority")), {"input_tokens": 10**8, "output_tokens": 0})

    assert priority.status is EventStatus.PRICED
    assert charged.cost_picos >= priority.cost_picos > COVER.amount_picos
    assert charged.lines == (("provisional", 1, "dearest", charged.cost_picos),)


@pytest.mark.parametrize(
    ("provider", "model", "usage", "like"),
    [
        ("openai", "gpt-4o-mini", SMALL, "gpt-4o-mini"),
        ("openai", "gpt-99", SMALL, "o1-pro"),
        (
            "openai",
            "gpt-99",
            {"input_tokens": 100, "input_audio_tokens": 100, "output_tokens": 0},
            "gpt-4o-audio-preview",
        ),
    ],
)
def test_what_is_reported_without_a_price_costs_the_dearest_reading(
    book: PriceBook, provider: str, model: str, usage: dict[str, int], like: str
) -> None:
    """A reported use in an unknown tier, or of an unknown model, costs at least what its provider's others would."""
    charged = charge_surely(book, Served(provider, model, None, AT_US, context("unheard")), Used(usage), None)
    known = charge(book, Served(provider, like, None, AT_US, context()), usage)

    assert charged.status is EventStatus.UNPRICED
    assert charged.cost_picos >= known.cost_picos > 0
    assert charged.lines == (("provisional", 1, "dearest", charged.cost_picos),)


def test_where_nothing_is_known_nothing_is_invented(book: PriceBook) -> None:
    """A reported use of a provider that no price list knows is unpriced at 0."""
    charged = charge_surely(book, Served("acme", "m", None, AT_US, context()), Used(SMALL), None)

    assert (charged.status, charged.cost_picos, charged.lines) == (EventStatus.UNPRICED, 0, ())


def test_a_part_without_a_price_is_held_for(book: PriceBook) -> None:
    """Where one of several models has no price, the whole use costs no less than what is known of all of them."""
    parts = (("claude-haiku-4-5", SMALL), ("claude-99", {"input_tokens": 10**7, "output_tokens": 0}))
    together = {"input_tokens": 10**7 + 100, "output_tokens": 20}
    served = Served("anthropic", "claude-haiku-4-5", None, AT_US, context())
    charged = charge_surely(book, served, Used(together, parts), COVER)
    alone = charge(book, served, {"input_tokens": 10**7, "output_tokens": 0})

    assert charged.status is EventStatus.UNPRICED
    assert charged.cost_picos >= alone.cost_picos > COVER.amount_picos


@pytest.mark.parametrize(
    ("provider", "model", "stated", "expected"),
    [
        ("openrouter", "openai/gpt-4o-mini", "0.0160614", "0.0160614"),
        ("openrouter", "nobody/knows-this", "0.0160614", "0.0160614"),
        ("openrouter", "openai/gpt-4o-mini", "0", "0"),
        ("xai", "grok-4.3", "0.00018630000000001", "0.000186300001"),
        ("perplexity", "sonar", "0.006", "0.006"),
    ],
)
def test_who_states_a_price_is_paid_it(book: PriceBook, provider: str, model: str, stated: str, expected: str) -> None:
    """Of a provider that charges as it states, the statement is the cost; the book's lines stand beside it."""
    served = Served(provider, model, None, AT_US, context())
    by_book = charge(book, served, SMALL)
    charged = charge_surely(book, served, Used(SMALL, stated=Decimal(stated)), COVER)

    assert (charged.status, format_amount(charged.cost_picos)) == (EventStatus.PRICED, expected)
    assert charged.lines == (("reported", 1, "reported", charged.cost_picos),)
    assert charged.book_lines == (by_book.lines if by_book.status is EventStatus.PRICED else ())


def test_elsewhere_the_book_decides(book: PriceBook) -> None:
    """What another provider states changes no price that the book knows."""
    served = Served("openai", "gpt-4o-mini", None, AT_US, context())

    assert charge_surely(book, served, Used(SMALL, stated=Decimal(9)), COVER) == charge(book, served, SMALL)
    unknown = charge_surely(book, served._replace(provider="acme"), Used(SMALL, stated=Decimal(9)), None)
    assert (unknown.status, format_amount(unknown.cost_picos)) == (EventStatus.UNPRICED, "9")


def test_every_part_that_has_a_price_is_counted(book: PriceBook) -> None:
    """Where one of several models used something without a price, all that has one is charged, of each model."""
    tokens = {"input_tokens": 1_000_000, "output_tokens": 0}
    served = Served("anthropic", "claude-haiku-4-5", None, AT_US, context())
    alone = charge(book, served, tokens)
    together = charge(
        book, served, tokens, parts=(("claude-haiku-4-5", {**tokens, "pages": 1}), ("claude-haiku-4-5", tokens))
    )

    assert together.status is EventStatus.UNPRICED
    assert "pages" in str(together.reason)
    assert together.cost_picos == 2 * alone.cost_picos > 0


def test_no_listed_price_makes_a_call_too_dear_to_be_posted(book: PriceBook) -> None:
    """Of every unit of every price a provider can state the most that is believed: all of it together can be posted."""
    for row in book.rows:
        if not row.is_factor:
            dearest = row.amount_picos * QUANTITY_MAX * FACTOR_MAX // row.per
            assert dearest <= amount_max(row.currency) // len(DIMENSIONS), row


@given(
    st.dictionaries(st.sampled_from(["input_tokens", "output_tokens", "web_searches"]), st.integers(0, QUANTITY_MAX)),
    st.integers(0, amount_max("USD")),
    st.integers(1, 10**6),
)
def test_a_charge_is_an_amount(quantities: dict[str, int], picos: int, per: int) -> None:
    """Whatever is used at whatever price can be posted: a cost beyond all amounts is none, and says so."""
    rows = [price_row(unit, picos, per=per) for unit in ("input_tokens", "output_tokens", "web_searches")]
    exact = sum(divide_half_even(quantity * picos, per) for quantity in quantities.values())
    made = charge(PriceBook(rows), Served("p", "m", None, 1, context()), quantities)

    assert made.cost_picos == (exact if exact <= amount_max("USD") else 0)
    assert (made.status is EventStatus.PRICED) == (exact <= amount_max("USD"))
    assert sum(line[3] for line in made.lines) == made.cost_picos


@pytest.mark.parametrize("stated", [None, Decimal(10**20)])
def test_a_use_that_cannot_be_is_charged_at_what_was_held(stated: Decimal | None) -> None:
    """Whatever a provider says, by its usage or its price, the settlement is an amount, and no less than was held."""
    rows = [price_row(unit, amount_max("USD"), provider="p") for unit in ("input_tokens", "output_tokens")]
    sellers = Sellers({}, {}, frozenset({"p"})) if stated is not None else Sellers()
    quantities = {"input_tokens": QUANTITY_MAX, "output_tokens": QUANTITY_MAX}
    charged = charge_surely(
        PriceBook(rows, sellers), Served("p", "m", None, 1, context()), Used(quantities, stated=stated), COVER
    )

    assert charged.status is EventStatus.UNPRICED
    assert (charged.currency, charged.cost_picos) == ("USD", COVER.amount_picos)
    assert charged.lines == (("provisional", 1, "held", COVER.amount_picos),)
    assert "more than one event can" in str(charged.reason)


def test_a_part_of_an_unknown_model_is_not_the_one_asked_for(book: PriceBook) -> None:
    """What an unknown model used costs its provider's dearest rates, not those of the cheap one beside it."""
    used = {"input_tokens": 0, "output_tokens": 500}
    served = Served("openai", "gpt-4o-mini", None, AT_US, context())
    alone = charge_surely(book, served._replace(model="no-such"), Used(used), None)
    beside = charge_surely(book, served, Used(used, (("gpt-4o-mini", {"input_tokens": 0}), ("no-such", used))), None)

    assert beside.cost_picos == alone.cost_picos > charge(book, served, used).cost_picos
