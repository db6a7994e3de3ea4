"""Usage that contradicts itself is charged at the dearest of all that may be meant, whatever the prices are."""

from itertools import combinations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.services.stand_in import price, settled, streamed, whole

from pertoken.core.events import EventStatus
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.rating import Rated, rate
from pertoken.core.usage import Completeness, Contradiction, leaves

FIELDS = {
    "input_tokens": ("prompt_tokens",),
    "output_tokens": ("completion_tokens",),
    "cache_read_tokens": ("prompt_tokens_details", "cached_tokens"),
    "cache_write_tokens": ("prompt_tokens_details", "cache_write_tokens"),
    "input_audio_tokens": ("prompt_tokens_details", "audio_tokens"),
    "output_audio_tokens": ("completion_tokens_details", "audio_tokens"),
}
SIDE_UNITS = ("input_tokens", "output_tokens")
PRICED = (*FIELDS, "cache_read_audio_tokens", "cache_write_audio_tokens")
COUNTS = st.integers(0, 12)
SAID = st.fixed_dictionaries(
    {"input_tokens": COUNTS, "output_tokens": COUNTS}, optional=dict.fromkeys([*FIELDS][2:], COUNTS)
)
PRICES = st.fixed_dictionaries({unit: st.integers(0, 20) for unit in PRICED})


def _usage(said: dict[str, int], total: int | None) -> dict[str, object]:
    usage: dict[str, object] = {} if total is None else {"total_tokens": total}
    for unit, quantity in said.items():
        inner = usage
        for key in FIELDS[unit][:-1]:
            inner = inner.setdefault(key, {})  # type: ignore[assignment]
        inner[FIELDS[unit][-1]] = quantity
    return usage


def _consistent(said: dict[str, int], total: int | None) -> list[dict[str, int]]:
    """Return what is left when as few numbers as possible are wrong; a side that nothing tells is what its parts are.

    This is the rule in its plainest form, and knows nothing of how the product finds its readings.
    """
    claims = {**said} if total is None else {**said, "total": total}
    found: dict[frozenset[str], dict[str, int]] = {}
    for size in range(len(claims), 0, -1):
        for kept in combinations(claims, size):
            reading = None if any(larger > set(kept) for larger in found) else _reading(claims, kept)
            if reading is not None:
                found[frozenset(kept)] = reading
    return list(found.values())


def _reading(claims: dict[str, int], kept: tuple[str, ...]) -> dict[str, int] | None:
    reading = {unit: claims[unit] for unit in kept}
    total = reading.pop("total", None)
    if total is not None:
        known = [side for side in SIDE_UNITS if side in reading]
        if not known or total < sum(reading[side] for side in known):
            return None
        for side in set(SIDE_UNITS) - set(known):
            reading[side] = total - reading[known[0]]
        if total != sum(reading[side] for side in SIDE_UNITS):
            return None
    for side in SIDE_UNITS:
        parts = {unit: many for unit, many in reading.items() if unit != side and _side(unit) == _side(side)}
        reading.setdefault(side, sum(leaves(parts).values()))
    try:
        leaves(reading)
    except Contradiction:
        return None
    return reading


def _side(unit: str) -> str:
    return "output" if unit.startswith("output") else "input"


def _book(prices: dict[str, int]) -> PriceBook:
    return PriceBook([price(unit, amount, provider="openai") for unit, amount in prices.items()])


@example({"input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 2}, dict.fromkeys(PRICED, 1), "none", False)
@example({"input_tokens": 0, "output_tokens": 0}, dict.fromkeys(PRICED, 1), "none", False)
@example({"input_tokens": 0, "output_tokens": 0, "input_audio_tokens": 2}, dict.fromkeys(PRICED, 1), "right", False)
@example(
    {"input_tokens": 1, "output_tokens": 1, "cache_write_tokens": 1, "cache_read_tokens": 1, "input_audio_tokens": 1},
    {**dict.fromkeys(PRICED, 0), "cache_read_audio_tokens": 1},
    "none",
    False,
)
@example(
    {
        "input_tokens": 1,
        "output_tokens": 0,
        "cache_write_tokens": 1,
        "cache_read_tokens": 1,
        "input_audio_tokens": 1,
        "output_audio_tokens": 1,
    },
    {**dict.fromkeys(PRICED, 0), "cache_write_audio_tokens": 1},
    "none",
    False,
)
@settings(max_examples=300, deadline=None)
@given(SAID, PRICES, st.sampled_from(["none", "right", "small"]), st.booleans())
def test_no_consistent_reading_is_dearer(said: dict[str, int], prices: dict[str, int], kind: str, stream: bool) -> None:
    """Whatever numbers are wrong, and whatever is dear: the charge is no less than that of any reading that adds up."""
    told = said["input_tokens"] + said["output_tokens"]
    assume(kind != "small" or told)
    total = {"none": None, "right": told, "small": told - 1}[kind]
    book, answer = _book(prices), (streamed if stream else whole)("openai.chat", _usage(said, total))
    event = settled("openai.chat", "openai", answer, stream=stream, book=book)
    readings = _consistent(said, total)
    says_nothing = kind == "right" and not told  # that nothing was used at all: with text in the answer, no usage
    if says_nothing or (kind != "small" and readings == [said] and not said["output_tokens"]):
        assert event.completeness is Completeness.ESTIMATED
        assert event.quantities["output_tokens"] > 0
        return
    if kind != "small" and readings == [said]:  # nothing contradicts
        assert (event.status, dict(event.quantities)) == (EventStatus.PRICED, said)
        return
    if kind == "right":  # the total decides the sides
        readings = [one for one in readings if all(one[side] == said[side] for side in SIDE_UNITS)]
    rates = book.resolve("openai", "m-1", 0)
    assert isinstance(rates, Rates)
    rated = [rate(reading, rates) for reading in readings]

    worst = max(one.cost_picos for one in rated)
    assert event.cost_picos >= worst, f"{said} {total} {event.quantities}"
    assert all(isinstance(one, Rated) for one in rated)
    assert (event.status, event.reason is not None) == (EventStatus.CONTRADICTORY, True)
    assert leaves(event.quantities) is not None


SIDES = {"prompt_tokens": 10_000, "completion_tokens": 50}
NEARLY_ALL = {"prompt_tokens_details": {"cached_tokens": 9_900, "cache_write_tokens": 9_900}}


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({**SIDES, **NEARLY_ALL, "total_tokens": 10_050}, 100 * 10 + 9_900 * 12 + 50 * 40),
        ({**SIDES, **NEARLY_ALL}, 10_000 * 10 + 9_900 * 1 + 9_900 * 12 + 50 * 40),
        ({**SIDES, "prompt_tokens_details": {"cached_tokens": 10_001}, "total_tokens": 10_050}, 10_000 * 10 + 50 * 40),
        ({**SIDES, "prompt_tokens_details": {"cache_write_tokens": 20_000}}, 10_000 * 10 + 20_000 * 12 + 50 * 40),
        ({**SIDES, "total_tokens": 10_800}, 10_000 * 10 + 800 * 40),
        ({**SIDES, "total_tokens": 10_000}, 10_000 * 10 + 50 * 40),
        (
            {**SIDES, "completion_tokens_details": {"reasoning_tokens": 60}, "total_tokens": 10_050},
            10_000 * 10 + 50 * 40,
        ),
        ({**SIDES, "completion_tokens_details": {"reasoning_tokens": 60}}, 10_000 * 10 + 110 * 40),
        ({**SIDES, "prompt_tokens": -5, "total_tokens": 10_050}, 10_000 * 10 + 50 * 40),
        ({**SIDES, "prompt_tokens": "10000"}, 10_000 * 10 + 50 * 40),
    ],
)
def test_what_contradictions_cost(usage: dict[str, object], cost: int) -> None:
    """Input at 10, read from the cache at 1, written to it at 12, output at 40."""
    prices = {"input_tokens": 10, "cache_read_tokens": 1, "cache_write_tokens": 12, "output_tokens": 40}
    event = settled("openai.chat", "openai", whole("openai.chat", usage), book=_book(prices))

    assert event.cost_picos == cost
