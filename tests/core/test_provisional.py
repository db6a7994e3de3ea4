"""What is charged in any case: the held amount, the dearest rates, or what the provider states."""

from decimal import Decimal

import pytest
from tests.factories import price_row

from pertoken.core.charging import Served, charge
from pertoken.core.conditions import Context, context
from pertoken.core.events import EventStatus
from pertoken.core.money import amount_max, format_amount
from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.provisional import HeldFor, charge_surely
from pertoken.core.usage import QUANTITY_MAX, Used

AT_US = parse_time("2026-11-23T12:00:00Z")
COVER = HeldFor(7_500_000_000, "USD", {"input_tokens": 1_000, "output_tokens": 1_000})
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
