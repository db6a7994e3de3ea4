"""What usage may count without saying so: sound, pictures, and cache that is kept for an hour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import price_row

from pertoken.core.facts import RequestFacts
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import NoPrice, Rates
from pertoken.core.untold import kept_longer, may_be_undivided, most_of_each, tells_no_hour, undivided
from pertoken.core.usage import QUANTITY_MAX, Completeness, Reading, Used, leaves

TEXT = RequestFacts("m")
TOLD = Reading({"input_tokens": 50, "output_tokens": 5}, Completeness.FINAL)
USED = Used({"input_tokens": 50, "output_tokens": 5})
HELD = {"input_tokens": 100, "input_audio_tokens": 30, "output_tokens": 100}
NOTHING: frozenset[str] = frozenset()
SOUND = frozenset({"audio"})
LONG_MOST = {"output_audio_tokens": QUANTITY_MAX}


def rates(*units: str) -> Rates | NoPrice:
    """Return prices of these units."""
    return PriceBook([price_row(unit, 1) for unit in units]).resolve("p", "m", 1)


@pytest.mark.parametrize(
    ("facts", "reading", "expected"),
    [
        (TEXT, TOLD, False),
        (TEXT._replace(has_media=True), TOLD, True),
        (TEXT._replace(output_modalities=SOUND), TOLD, True),
        (TEXT, TOLD._replace(made=SOUND), True),
    ],
)
def test_a_text_is_a_text(facts: RequestFacts, reading: Reading, expected: bool) -> None:
    """Only what was sent, asked for or made may be counted without a word."""
    assert may_be_undivided(facts, reading) is expected


@pytest.mark.parametrize(
    ("facts", "made", "expected"),
    [
        (TEXT, NOTHING, {"input_audio_tokens": 30}),
        (TEXT._replace(output_modalities=SOUND), NOTHING, {"input_audio_tokens": 30, **LONG_MOST}),
        (TEXT, SOUND, {"input_audio_tokens": 30, **LONG_MOST}),
        (TEXT, frozenset({"text"}), {"input_audio_tokens": 30}),
    ],
)
def test_how_much_of_a_kind_it_may_be(facts: RequestFacts, made: frozenset[str], expected: dict[str, int]) -> None:
    """As much as was held for what was sent; of what is made, any number."""
    assert most_of_each({**HELD, "input_image_tokens": 0}, facts, made) == expected


@pytest.mark.parametrize(
    ("used", "made", "priced", "text", "expected"),
    [
        # Of fifty tokens up to thirty may be sound, where so many were held for; all fifty may not.
        (USED, NOTHING, ("input_tokens", "input_audio_tokens"), {}, [{"input_audio_tokens": 30}]),
        # Sound without a price may be billed as text.
        (USED, NOTHING, ("input_tokens",), {}, []),
        # What is told to be text is none.
        (USED, NOTHING, ("input_audio_tokens",), {"input_tokens": 45}, [{"input_audio_tokens": 5}]),
        (USED, NOTHING, ("input_audio_tokens",), {"input_tokens": 50}, []),
        # What usage tells is told, a zero too; beside sound that the answer shows, a zero tells nothing.
        (Used({**USED.quantities, "input_audio_tokens": 0}), NOTHING, ("input_audio_tokens",), {}, []),
        (Used({"output_tokens": 5, "output_audio_tokens": 0}), SOUND, (), {}, [{"output_audio_tokens": 5}]),
        (Used({"output_tokens": 5, "output_audio_tokens": 0}), NOTHING, (), {}, []),
        # What was made has no other price than its own, known or not.
        (Used({"output_tokens": 5}), SOUND, (), {}, [{"output_audio_tokens": 5}]),
        # What several models used is told by each.
        (Used({"output_tokens": 5}, (("m", {"output_tokens": 5}),)), SOUND, (), {}, []),
        # Quantities that contradict each other are not divided.
        (Used({"output_tokens": 5, "reasoning_tokens": 9}), SOUND, (), {}, []),
    ],
)
def test_what_may_be_meant(
    used: Used, made: frozenset[str], priced: tuple[str, ...], text: dict[str, int], expected: list[dict[str, int]]
) -> None:
    """Tokens of a side that usage does not divide may all be of one kind, as far as that kind is possible."""
    facts = TEXT._replace(has_media=True)
    meant = undivided(used, most_of_each(HELD, facts, made), made, rates(*priced), text)

    assert [one.quantities for one in meant] == [{**used.quantities, **kind} for kind in expected]


WRITTEN = {"input_tokens": 50, "cache_write_tokens": 20}


@pytest.mark.parametrize(
    ("quantities", "short", "is_longer"),
    [
        (WRITTEN, None, True),
        (WRITTEN, 20, True),  # without a word of the hour, what is said of five minutes is not the whole
        ({**WRITTEN, "cache_write_1h_tokens": 0}, None, True),
        ({**WRITTEN, "cache_write_1h_tokens": 0}, 5, True),  # zeros that do not add up to what was written
        ({**WRITTEN, "cache_write_1h_tokens": 0}, 20, False),
        ({**WRITTEN, "cache_write_1h_tokens": 1}, None, False),
        ({**WRITTEN, "cache_write_1h_tokens": 20}, None, False),
        ({"input_tokens": 50, "cache_write_tokens": 0}, None, False),
        ({"input_tokens": 50}, None, False),
    ],
)
def test_what_is_written_may_be_kept_for_an_hour(
    quantities: dict[str, int], short: int | None, is_longer: bool
) -> None:
    """Unless usage says for how long."""
    longer = kept_longer((Used(quantities, (("m", quantities),)),), short)

    assert longer == ((Used({**quantities, "cache_write_1h_tokens": 20}),) if is_longer else ())


HOUR_ZERO = Used({**WRITTEN, "cache_write_1h_tokens": 0})


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (TOLD, False),
        (TOLD._replace(quantities=None, alternatives=(HOUR_ZERO,)), False),
        (TOLD._replace(quantities=HOUR_ZERO.quantities), True),
        (TOLD._replace(quantities={**WRITTEN, "cache_write_1h_tokens": 20}), False),
        (TOLD._replace(alternatives=(HOUR_ZERO,)), True),
    ],
)
def test_what_is_kept_for_a_short_time_matters_beside_a_zero(reading: Reading, expected: bool) -> None:
    """Only a reading that says zero for the hour can be told to be kept for less."""
    assert tells_no_hour(reading) is expected


@given(
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(1, 200),
    st.dictionaries(st.sampled_from(["input_tokens", "output_tokens"]), st.integers(0, 120)),
)
def test_what_may_be_meant_adds_up(read: int, written: int, held: int, text: dict[str, int]) -> None:
    """Every other reading has the same totals, and no part above its total."""
    used = Used({"input_tokens": read, "output_tokens": written})
    most = {"input_audio_tokens": held, "output_image_tokens": QUANTITY_MAX}

    for one in undivided(used, most, NOTHING, rates("input_audio_tokens"), text):
        assert leaves(one.quantities)
        assert {side: one.quantities[side] for side in used.quantities} == used.quantities
        assert one.quantities.get("input_audio_tokens", 0) <= min(held, read)
