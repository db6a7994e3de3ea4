"""What one answer costs: the dearest of all that may be meant, how far it is known, and why not further."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import examples
from tests.factories import price_row

from pertoken.core.charging import Served
from pertoken.core.conditions import STANDARD, Context, context
from pertoken.core.estimates import readings_of, with_counted
from pertoken.core.events import EventStatus
from pertoken.core.facts import RequestFacts
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.provisional import HeldFor, charge_surely
from pertoken.core.settlement import (
    NO_USAGE,
    KnownUse,
    Settlement,
    charge_dearest,
    context_served,
    settlement,
)
from pertoken.core.units import DIMENSIONS
from pertoken.core.untold import UNDIVIDED, UNTOLD
from pertoken.core.usage import Completeness, Reading, Used

MICRO = 10**6  # a millionth of a dollar, in picos
PRICES = {
    "input_tokens": 2, "cache_read_tokens": 1, "cache_write_tokens": 3, "cache_write_1h_tokens": 5,
    "input_audio_tokens": 20, "output_tokens": 10, "output_audio_tokens": 40,
}  # fmt: skip


def rows(model: str = "m", times: int = 1, **more: int) -> list[Any]:
    """Return the prices of a model, so many times those above, in millionths of a dollar a token."""
    each = {**PRICES, **more}.items()
    return [price_row(unit, picos * times * MICRO, model=model, price_id=f"{model}_{unit}") for unit, picos in each]


BOOK = PriceBook([*rows(), *rows("same"), *rows("dear", 3)])
SELLERS = Sellers({}, {}, frozenset({"p"}))  # who charge as they state
STATED = PriceBook(BOOK.rows, SELLERS)
SERVED = Served("p", "m", None, 1, STANDARD)
COVER = HeldFor(10**13, "USD", {"input_tokens": 1_000, "output_tokens": 1_000})
FACTS = RequestFacts("m")
SMALL, LARGE = {"input_tokens": 10, "output_tokens": 5}, {"input_tokens": 20, "output_tokens": 5}
FINAL = Reading(SMALL, Completeness.FINAL)
NOTHING = Reading(None, Completeness.MISSING)
PRICED, UNPRICED, CONTRADICTORY = EventStatus.PRICED, EventStatus.UNPRICED, EventStatus.CONTRADICTORY
COST_SMALL, COST_LARGE = 70 * MICRO, 90 * MICRO


def settled(reading: Reading = FINAL, book: PriceBook = BOOK, served: Served = SERVED, **known: Any) -> Settlement:
    """Return what an answer costs, of which this much is known."""
    return settlement(book, served, KnownUse(known.pop("facts", FACTS), reading, **known), COVER)


@pytest.mark.parametrize(
    ("said", "others", "cost", "charged"),
    [
        (SMALL, [], COST_SMALL, SMALL),
        (SMALL, [LARGE], COST_LARGE, LARGE),
        (LARGE, [SMALL], COST_LARGE, LARGE),
        (SMALL, [LARGE, {**LARGE, "cache_read_tokens": 20}], COST_LARGE, LARGE),  # more tokens, but cheaper ones
        (SMALL, [{"input_tokens": 10, "cache_write_tokens": 10, "output_tokens": 5}], 80 * MICRO, None),
        (SMALL, [dict(SMALL)], COST_SMALL, SMALL),
    ],
)
def test_the_dearest_reading_is_charged(
    said: dict[str, int], others: list[dict[str, int]], cost: int, charged: dict[str, int] | None
) -> None:
    """Of several readings of what a provider said, whichever of them comes first."""
    made = settled(FINAL._replace(quantities=said, alternatives=tuple(Used(one) for one in others)))

    assert made.charge.cost_picos == cost
    assert made.quantities == (others[-1] if charged is None else charged)


@pytest.mark.parametrize(
    ("reading", "known", "status", "completeness", "reason"),
    [
        (FINAL, {}, PRICED, Completeness.FINAL, None),
        (FINAL._replace(note="a total decides"), {}, PRICED, Completeness.FINAL, "a total decides"),
        (FINAL._replace(completeness=Completeness.PARTIAL), {}, PRICED, Completeness.PARTIAL, None),
        (FINAL._replace(contradiction="it is no sum"), {}, CONTRADICTORY, Completeness.FINAL, "it is no sum"),
        (NOTHING, {"estimated": (Used(SMALL),)}, PRICED, Completeness.ESTIMATED, NO_USAGE),
        (NOTHING, {"estimated": (Used(SMALL),), "failure": "cut"}, PRICED, Completeness.ESTIMATED, "cut"),
        (FINAL, {"failure": "cut"}, PRICED, Completeness.FINAL, None),  # its usage came before that
        (
            NOTHING._replace(contradiction="it is no object"),
            {"estimated": (Used(SMALL),), "failure": "cut"},
            PRICED,
            Completeness.ESTIMATED,
            "it is no object",
        ),
        (
            FINAL._replace(contradiction="it is no sum"),
            {"estimated": (Used(SMALL),)},
            CONTRADICTORY,
            Completeness.ESTIMATED,
            "it is no sum",
        ),
    ],
)
def test_an_event_is_marked_as_far_as_it_is_known(
    reading: Reading, known: dict[str, Any], status: EventStatus, completeness: Completeness, reason: str | None
) -> None:
    """What the provider said is final, what was counted is estimated, a guess at contradictory numbers is that."""
    made = settled(reading, **known)

    assert (made.status, made.completeness, made.reason) == (status, completeness, reason)
    assert made.charge.cost_picos == COST_SMALL


def test_why_there_is_no_price_is_the_first_reason() -> None:
    """An unpriced event says that, and not what else was in doubt; a priced one says what was assumed last."""
    scale = SERVED._replace(context=context("scale"))
    unpriced = settled(FINAL._replace(note="a total decides", contradiction="it is no sum"), served=scale)
    spelt = settled(served=SERVED._replace(model_served="P/M"))
    noted = settled(FINAL._replace(note="a total decides"), served=SERVED._replace(model_served="P/M"))

    assert unpriced.status is UNPRICED
    assert unpriced.reason == unpriced.charge.reason
    assert "scale" in str(unpriced.reason)
    assert spelt.reason == "served as 'P/M', which has no price; rated as 'm'"
    assert noted.reason == "a total decides"


@pytest.mark.parametrize(
    ("model", "named", "cost", "status", "served", "reason"),
    [
        ("m", ("m", "dear"), 3 * COST_SMALL, CONTRADICTORY, "dear", "the answer names m and dear"),
        ("dear", ("m", "dear"), 3 * COST_SMALL, CONTRADICTORY, "dear", "the answer names m and dear"),
        ("same", ("m", "same"), COST_SMALL, PRICED, "m", None),
        ("dear", (), 3 * COST_SMALL, PRICED, "dear", None),
    ],
)
def test_of_several_models_named_the_dearest_is_charged(
    model: str, named: tuple[str, ...], cost: int, status: EventStatus, served: str, reason: str | None
) -> None:
    """Where they do not cost the same, the event says so."""
    made = settled(served=SERVED._replace(model_served=model, named=named))

    assert (made.charge.cost_picos, made.status, made.model_served, made.reason) == (cost, status, served, reason)


def test_that_models_differ_is_said_beside_what_else_is_wrong() -> None:
    """Both reasons stand in the event."""
    served = SERVED._replace(model_served="m", named=("m", "dear"))
    made = settled(FINAL._replace(note="a total decides"), served=served)

    assert made.reason == "the answer names m and dear; a total decides"


@pytest.mark.parametrize(
    ("book", "said", "cost", "status"),
    [
        (STATED, {"reported_cost": Decimal("0.01")}, 10_000 * MICRO, PRICED),
        (STATED, {"reported_cost": Decimal(0)}, 0, PRICED),  # somebody said so
        (BOOK, {"reported_cost": Decimal("0.01")}, COST_SMALL, PRICED),
        (STATED, {"reported_fee": Decimal("0.01")}, COST_SMALL + 10_000 * MICRO, PRICED),
        (BOOK, {"reported_fee": Decimal("0.01")}, COST_SMALL, PRICED),
        (STATED, {"doubtful_cost": Decimal("0.01")}, 10_000 * MICRO, CONTRADICTORY),
        (STATED, {"doubtful_cost": Decimal("0.000001")}, COST_SMALL, CONTRADICTORY),
        (BOOK, {"doubtful_cost": Decimal("0.000001")}, COST_SMALL, PRICED),
        (STATED, {"reported_cost": Decimal("0.01"), "contradiction": "it is no sum"}, 10_000 * MICRO, PRICED),
    ],
)
def test_what_a_provider_states(book: PriceBook, said: dict[str, Any], cost: int, status: EventStatus) -> None:
    """It is charged where the provider charges as it states; one in doubt is charged where it is dearer."""
    made = settled(FINAL._replace(**said), book)

    assert (made.charge.cost_picos, made.status) == (cost, status)


LONG = FACTS._replace(long_cache=True)
WRITTEN = {"input_tokens": 10, "cache_write_tokens": 10, "output_tokens": 5}


@pytest.mark.parametrize(
    ("facts", "told", "short", "cost", "reason"),
    [
        (FACTS, {}, None, 80 * MICRO, None),
        (LONG, {}, None, 100 * MICRO, UNTOLD),
        (LONG, {"cache_write_1h_tokens": 0}, None, 100 * MICRO, UNTOLD),
        (LONG, {"cache_write_1h_tokens": 0}, 10, 80 * MICRO, None),
        (LONG, {"cache_write_1h_tokens": 4}, 6, 88 * MICRO, None),
    ],
)
def test_cache_that_may_be_kept_for_an_hour(
    facts: RequestFacts, told: dict[str, int], short: int | None, cost: int, reason: str | None
) -> None:
    """Where an hour was asked for and usage does not tell, all that was written costs an hour's price."""
    made = settled(FINAL._replace(quantities={**WRITTEN, **told}), facts=facts, short=short)

    assert (made.charge.cost_picos, made.reason) == (cost, reason)
    assert made.completeness is (Completeness.FINAL if reason is None else Completeness.ESTIMATED)


SPEAKS = FACTS._replace(output_modalities=frozenset({"audio"}))


@pytest.mark.parametrize(
    ("facts", "reading", "text", "cost", "reason"),
    [
        (FACTS, FINAL, {}, COST_SMALL, None),
        (SPEAKS, FINAL, {}, 20 * MICRO + 200 * MICRO, UNDIVIDED),
        (SPEAKS, FINAL, {"output_tokens": 3}, 20 * MICRO + 30 * MICRO + 80 * MICRO, UNDIVIDED),
        (SPEAKS, FINAL, {"output_tokens": 5}, COST_SMALL, None),
        (FACTS, FINAL._replace(made=frozenset({"audio"})), {}, 20 * MICRO + 200 * MICRO, UNDIVIDED),
        (SPEAKS, FINAL._replace(quantities={**SMALL, "output_audio_tokens": 0}), {}, COST_SMALL, None),
        (SPEAKS, FINAL._replace(note="a total decides"), {}, 20 * MICRO + 200 * MICRO, "a total decides"),
    ],
)
def test_output_that_may_be_sound(
    facts: RequestFacts, reading: Reading, text: dict[str, int], cost: int, reason: str | None
) -> None:
    """Where sound was asked for or made and usage does not tell, all that is not told to be text is sound."""
    made = settled(reading, facts=facts, text=text)

    assert (made.charge.cost_picos, made.reason) == (cost, reason)
    assert made.completeness is (Completeness.ESTIMATED if cost != COST_SMALL else Completeness.FINAL)


def test_the_dearest_model_is_divided() -> None:
    """Of several models named the dearest is charged with sound; that they differ is still said."""
    made = settled(facts=SPEAKS, served=SERVED._replace(model_served="m", named=("m", "dear")))

    assert made.charge.cost_picos == 3 * (20 + 200) * MICRO
    assert (made.status, made.reason) == (CONTRADICTORY, f"the answer names m and dear; {UNDIVIDED}")


def test_what_several_models_used_counts_only_where_it_is_final() -> None:
    """Each part of a final usage is charged at its own model's price; of another, the whole is the served model's."""
    parts = (("m", {"input_tokens": 10, "output_tokens": 0}), ("dear", {"input_tokens": 0, "output_tokens": 5}))
    final = settled(FINAL._replace(parts=parts))
    partial = settled(FINAL._replace(parts=parts, completeness=Completeness.PARTIAL))

    assert (final.charge.cost_picos, final.used.parts) == (20 * MICRO + 150 * MICRO, parts)
    assert (partial.charge.cost_picos, partial.used.parts) == (COST_SMALL, ())


def test_a_request_that_is_charged_is_in_the_quantities() -> None:
    """A call is one request whatever its usage says, where a request has a price."""
    book = PriceBook(rows(requests=7))
    made = settled(book=book)
    stated = settled(FINAL._replace(reported_cost=Decimal(1)), PriceBook(book.rows, SELLERS))

    assert made.quantities == stated.quantities == {**SMALL, "requests": 1}
    assert made.used.quantities == SMALL
    assert made.charge.cost_picos == COST_SMALL + 7 * MICRO
    assert settled().quantities == SMALL


@pytest.mark.parametrize(
    ("asked", "told", "expected"),
    [
        ({}, {}, STANDARD),
        ({"service_tier": "flex", "speed": "fast", "region": "us"}, {}, context("flex", speed="fast", region="us")),
        ({"service_tier": "flex"}, {"service_tier": "priority"}, context("priority")),
        ({"service_tier": "flex"}, {"service_tier": "default"}, STANDARD),
        ({"speed": "fast", "region": "us"}, {"speed": "standard", "region": "eu"}, context(region="eu")),
        ({"attributes": (("a", "1"),)}, {}, context(attributes=(("a", "1"),))),
        (
            {"attributes": (("a", "1"), ("b", "1"))},
            {"attributes": (("b", "2"), ("c", "2"))},
            context(attributes=(("a", "1"), ("b", "2"), ("c", "2"))),
        ),
    ],
)
def test_what_the_answer_does_not_say_is_as_it_was_asked_for(
    asked: dict[str, Any], told: dict[str, Any], expected: Context
) -> None:
    """Tier, speed, region and each other condition of a price are as the answer tells them, else as asked for."""
    assert context_served(FACTS._replace(**asked), FINAL._replace(**told)) == expected


COUNTS = st.integers(0, 50)
USES = st.fixed_dictionaries(
    {"input_tokens": st.integers(20, 50), "output_tokens": st.integers(5, 50)},
    optional={
        "cache_read_tokens": st.integers(0, 10),
        "cache_write_tokens": st.integers(0, 10),
        "output_audio_tokens": st.integers(0, 5),
    },
)
STATEMENTS = st.none() | st.decimals(0, 1, places=6)
BOOKS = st.dictionaries(st.sampled_from(sorted(PRICES)), st.integers(0, 50), min_size=1)
NAMED = st.sampled_from([(), ("m", "dear"), ("dear", "unheard"), ("same", "m", "unheard")])


@st.composite
def knowns(draw: st.DrawFn) -> KnownUse:
    """Return what may be known of an answer, of which the provider said something that can be used."""
    uses = draw(st.lists(USES, min_size=1, max_size=4))
    reading = Reading(
        uses[0],
        draw(st.sampled_from([Completeness.FINAL, Completeness.PARTIAL])),
        contradiction=draw(st.sampled_from([None, "it is no sum"])),
        alternatives=tuple(Used(one) for one in uses[1:]),
        reported_cost=draw(STATEMENTS),
        doubtful_cost=draw(STATEMENTS),
        reported_fee=draw(STATEMENTS),
        made=draw(st.sampled_from([frozenset(), frozenset({"audio"})])),
    )
    estimated = with_counted(reading, {"output_tokens": draw(COUNTS)}) if draw(st.booleans()) else None
    return KnownUse(FACTS._replace(long_cache=draw(st.booleans())), reading, estimated)


def made_book(prices: dict[str, int], *, charges_as_stated: bool) -> PriceBook:
    """Return prices of m and another model, in millionths of a dollar a token."""
    one = [price_row(unit, picos * MICRO) for unit, picos in prices.items()]
    other = [price_row(unit, 2 * picos * MICRO, model="dear") for unit, picos in prices.items()]
    return PriceBook([*one, *other], Sellers({}, {}, frozenset({"p"} if charges_as_stated else ())))


@examples(200)
@given(knowns(), BOOKS, NAMED, st.booleans())
def test_no_reading_is_dearer(
    known: KnownUse, prices: dict[str, int], named: tuple[str, ...], charges_as_stated: bool
) -> None:
    """Whatever is known, an answer costs no less than each single reading by each model that may be meant."""
    book = made_book(prices, charges_as_stated=charges_as_stated)
    served = SERVED._replace(model_served=named[0] if named else None, named=named)
    made = settlement(book, served, known, COVER)

    for used in known.estimated or readings_of(known.reading):
        for name in named or (None,):
            alone = charge_surely(book, served._replace(model_served=name, named=()), used, COVER)
            assert made.charge.cost_picos >= alone.cost_picos
    assert sum(line[3] for line in made.charge.lines) == made.charge.cost_picos


@examples(200)
@given(knowns(), BOOKS, NAMED, st.booleans(), st.randoms())
def test_the_order_of_readings_does_not_matter(
    known: KnownUse, prices: dict[str, int], named: tuple[str, ...], charges_as_stated: bool, chance: Any
) -> None:
    """The same may be meant in any order, and costs the same."""
    book = made_book(prices, charges_as_stated=charges_as_stated)
    served = SERVED._replace(model_served=named[0] if named else None, named=named)
    readings = list(known.estimated or readings_of(known.reading))
    first = charge_dearest(book, served, readings, COVER).charge
    chance.shuffle(readings)
    shuffled = served._replace(named=tuple(chance.sample(named, len(named))))
    second = charge_dearest(book, shuffled, readings, COVER).charge

    assert (first.cost_picos, first.currency) == (second.cost_picos, second.currency)


@examples(200)
@given(
    st.integers(1, 2_000),
    st.sampled_from(["m", "dear", "unheard", None]),
    st.sampled_from(sorted(DIMENSIONS)),
    st.sampled_from([None, "scale"]),
)
def test_output_that_exists_is_never_free(tokens: int, model: str | None, unit: str, tier: str | None) -> None:
    """Where nobody says that it costs nothing, output costs something: by whatever model, in whatever tier."""
    served = SERVED._replace(model_served=model, context=context(tier))
    estimated = with_counted(NOTHING, {"input_tokens": 0, "output_tokens": tokens})
    book = PriceBook([*rows(), price_row(unit, MICRO, model="other")])
    made = settlement(book, served, KnownUse(FACTS, NOTHING, estimated), COVER)

    assert made.charge.cost_picos > 0
    assert made.completeness is Completeness.ESTIMATED
