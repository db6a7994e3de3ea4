"""What an answer is taken to have used where its provider said too little."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import price_row

from pertoken.core.bounds import FAMILIES, Counts
from pertoken.core.estimates import (
    input_unread,
    input_used,
    is_enough,
    most_used,
    needs_input,
    output_used,
    readings_of,
    with_counted,
)
from pertoken.core.facts import RequestFacts
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.trust import WHOLE, Trust
from pertoken.core.usage import Completeness, Quantities, Reading, Used, leaves

ONE, FEE, DOUBTFUL = Decimal(1), Decimal("0.5"), Decimal(2)
BOTH = {"input_tokens": 50, "output_tokens": 5}
FINAL = Reading(BOTH, Completeness.FINAL)
NOTHING = Reading(None, Completeness.MISSING)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (FINAL, True),
        (FINAL._replace(completeness=Completeness.PARTIAL), False),
        (FINAL._replace(quantities=None), False),
        (NOTHING, False),
    ],
)
def test_the_last_word_is_enough(reading: Reading, expected: bool) -> None:
    """A word before the last one is not, nor is a last one that says nothing."""
    assert is_enough(reading) is expected


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (NOTHING, ()),
        (NOTHING._replace(reported_cost=ONE), ()),
        (FINAL, (Used(BOTH),)),
        (FINAL._replace(alternatives=(Used({"input_tokens": 9}),)), (Used(BOTH), Used({"input_tokens": 9}))),
        (FINAL._replace(reported_cost=ONE, reported_fee=FEE), (Used(BOTH, stated=ONE, fee=FEE),)),
        (FINAL._replace(doubtful_cost=DOUBTFUL), (Used(BOTH), Used(BOTH, stated=DOUBTFUL))),
        (
            FINAL._replace(doubtful_cost=DOUBTFUL, reported_fee=FEE),
            (Used(BOTH, fee=FEE), Used(BOTH, stated=DOUBTFUL, fee=FEE)),
        ),
        (
            FINAL._replace(reported_cost=ONE, doubtful_cost=DOUBTFUL),
            (Used(BOTH, stated=ONE), Used(BOTH, stated=DOUBTFUL)),
        ),
    ],
)
def test_all_that_may_be_meant(reading: Reading, expected: tuple[Used, ...]) -> None:
    """Each reading has the cost and the fee that are stated; a doubtful cost is one more way to read each."""
    assert readings_of(reading) == expected


@pytest.mark.parametrize(
    ("said", "counted", "expected"),
    [
        (None, {"output_tokens": 7, "input_tokens": 9}, {"output_tokens": 7, "input_tokens": 9}),
        ({"input_tokens": 50}, {"output_tokens": 7}, {"input_tokens": 50, "output_tokens": 7}),
        (BOTH, {"output_tokens": 7}, {"input_tokens": 50, "output_tokens": 7}),  # as much as was written
        (BOTH, {"output_tokens": 3}, BOTH),  # and no less than was said
        (BOTH, {"output_tokens": 3, "input_tokens": 90}, BOTH),  # a reported input is kept
        ({"reasoning_tokens": 30}, {"output_tokens": 7}, {"reasoning_tokens": 30, "output_tokens": 30}),
        (
            {"cache_read_tokens": 30, "input_audio_tokens": 5},
            {"output_tokens": 0, "input_tokens": 10},
            {"cache_read_tokens": 30, "input_audio_tokens": 5, "output_tokens": 0, "input_tokens": 35},
        ),
    ],
)
def test_what_is_not_said_is_counted(
    said: Quantities | None, counted: dict[str, int], expected: dict[str, int]
) -> None:
    """Output is the most of said and counted, input is counted where none is said; a total holds its parts."""
    [used] = with_counted(NOTHING._replace(quantities=said), counted)

    assert used.quantities == expected


def test_what_several_models_used_is_not_known_of_a_part() -> None:
    """Where something was counted, what each model used is dropped; a stated cost and a fee stay."""
    reading = FINAL._replace(parts=(("m", BOTH),), reported_cost=ONE, reported_fee=FEE)

    assert with_counted(reading, {"output_tokens": 7}) == (Used({**BOTH, "output_tokens": 7}, (), ONE, FEE),)
    assert with_counted(reading._replace(quantities=None), {"output_tokens": 7}) == (
        Used({"output_tokens": 7}, (), ONE, FEE),
    )


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (NOTHING, True),
        (FINAL, False),
        (FINAL._replace(quantities={"output_tokens": 1}), True),
        (FINAL._replace(alternatives=(Used({"output_tokens": 1}),)), True),
    ],
)
def test_input_is_counted_where_a_reading_lacks_it(reading: Reading, expected: bool) -> None:
    """One of several is enough."""
    assert needs_input(reading) is expected


@pytest.mark.parametrize(
    ("counted", "has_made", "has_outrun", "expected"),
    [
        (5, False, False, 5),
        (105, False, False, 100),  # the provider kept to its cap: our tokenizer counts more
        (105, False, True, 105),  # it did not, and was cut
        (5, False, True, 5),
        (5, True, False, 100),  # nobody can count a picture
        (105, True, False, 105),
        (105, True, True, 105),
    ],
)
def test_how_much_output_is_taken(counted: int, has_made: bool, has_outrun: bool, expected: int) -> None:
    """What was counted, up to the bound of 100 unless the provider broke it; all of it for what cannot be counted."""
    assert output_used(counted, 100, has_made=has_made, has_outrun=has_outrun) == expected


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.booleans(), st.booleans())
def test_output_that_exists_is_never_free(counted: int, most: int, has_made: bool, has_outrun: bool) -> None:
    """Whatever else is known, some of it is charged; and no more than was allowed, unless that was outrun."""
    taken = output_used(counted, most, has_made=has_made, has_outrun=has_outrun)

    assert taken > 0
    assert has_made or has_outrun or taken <= most


COUNTS = Counts(tokens=1_000, text_bytes=4_000, messages=1, names=0, has_media=False)


@pytest.mark.parametrize(
    ("counts", "family", "trust", "most", "expected"),
    [
        (COUNTS, "o200k", WHOLE, 9_999, 1_006),  # the count, with the provider's own frame
        (COUNTS, "qwen", WHOLE, 9_999, 1_660),  # another family's count is scaled, with the widest frame
        (COUNTS, "o200k", Trust(0, 250, 100), 9_999, 2_515),
        (COUNTS, "o200k", Trust(1_024, 100, 100), 9_999, 2_030),
        (COUNTS, "o200k", WHOLE, 900, 900),  # it was held for before the provider was known to count more
        (COUNTS._replace(has_media=True), "o200k", WHOLE, 9_999, 9_999),
    ],
)
def test_how_much_input_is_taken(counts: Counts, family: str, trust: Trust, most: int, expected: int) -> None:
    """What we count as far as that is believed, and no more than was held for; with media, all of that."""
    assert input_used(counts, FAMILIES[family], trust, most) == expected


@pytest.mark.parametrize(("most", "expected"), [(9_999, 4_016), (900, 900)])
def test_input_that_nobody_can_count(most: int, expected: int) -> None:
    """It is as many tokens as its bytes can be, and no more than was held for."""
    assert input_unread(4_000, FAMILIES["o200k"], most, tools=False) == expected


def rates(*units: str) -> Rates:
    """Return prices of these units."""
    found = PriceBook([price_row(unit, 1) for unit in units]).resolve("p", "m", 1)
    assert isinstance(found, Rates)
    return found


MOST = {"input_tokens": 100, "input_audio_tokens": 30, "output_tokens": 20, "output_image_tokens": 0}
USED = {"input_tokens": 130, "input_audio_tokens": 30, "output_tokens": 20}
CACHE, HOUR, THOUGHT = "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens"


@pytest.mark.parametrize(
    ("facts", "most", "priced", "others"),
    [
        (RequestFacts("m"), MOST, (), []),
        (RequestFacts("m"), MOST, (THOUGHT,), [{THOUGHT: 20}]),
        (RequestFacts("m"), MOST, (CACHE, HOUR), [{CACHE: 100}]),
        (RequestFacts("m", long_cache=True), MOST, (CACHE, HOUR), [{CACHE: 100}, {CACHE: 100, HOUR: 100}]),
        (RequestFacts("m"), MOST, (CACHE, THOUGHT), [{THOUGHT: 20}, {CACHE: 100}, {CACHE: 100, THOUGHT: 20}]),
        (RequestFacts("m"), {**MOST, "output_image_tokens": 20}, (), [{"output_image_tokens": 20}]),
    ],
)
def test_what_nobody_can_read_used_all_that_was_held(
    facts: RequestFacts, most: dict[str, int], priced: tuple[str, ...], others: list[dict[str, int]]
) -> None:
    """In each way that may be dearer: written to a cache, for an hour, as thoughts, as a picture."""
    reading = most_used(facts, (rates("input_tokens", *priced),), most, "lost")

    assert (reading.quantities, reading.completeness, reading.note) == (USED, Completeness.ESTIMATED, "lost")
    assert [one.quantities for one in reading.alternatives] == [{**USED, **other} for other in others]
    assert all(leaves(one.quantities) for one in reading.alternatives)


def test_what_may_run_twice_is_taken_to_have_run_twice() -> None:
    """Each quantity is taken so often as the model may run."""
    reading = most_used(RequestFacts("m", repeats=2), (rates("input_tokens", CACHE),), MOST, "lost")

    assert reading.quantities == {unit: 2 * many for unit, many in USED.items()}
    assert [one.quantities[CACHE] for one in reading.alternatives] == [200]
