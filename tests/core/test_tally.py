import random
from decimal import Decimal
from typing import Any

import pytest
from tests.factories import event, hold

from pertoken.core.budgets import Attribution
from pertoken.core.calls import CallLine
from pertoken.core.events import NOT_TIMED, Event, OfCall, Timeline
from pertoken.core.latency import BOUNDS_US
from pertoken.core.tally import OTHER, SERIES_MAX, TOKEN_BOUNDS, CallTally, Snapshot, no_series, total

WIRE = "openai.chat"


def charged(
    model: str = "m", provider: str = "p", timeline: Timeline = NOT_TIMED, attempts: int = 1, **fields: Any
) -> Event:
    """Return the event of a call."""
    made = event(hold("call_1"))
    of = made.attribution._replace(provider=provider, model=model)
    return made._replace(**{"attribution": of, "of": OfCall(timeline=timeline, attempts=attempts), **fields})


def line(*events: Event, status: str = "ok", took_us: int = 100_000, refusal: str | None = None) -> CallLine:
    """Return the line of a call."""
    of = events[-1].attribution if events else Attribution(key="key_1", model="a client's own word")
    return CallLine(1, "call_1", status, 200, took_us, of, events, refusal, WIRE)


def snapshot(tally: CallTally, at_us: int = 0, **gauges: int) -> Snapshot:
    """Return the figures of a process."""
    batches = (0, 3, *(0,) * 10)
    return Snapshot(at_us, tally.series, tally.refusals, 3, batches, 5, gauges)


def test_a_call_is_counted_under_its_provider_model_and_wire() -> None:
    """Status, quantities and cost of a call are added to its series; amounts of two currencies stay apart."""
    tally = CallTally()
    tally.count(line(charged(quantities={"input_tokens": 7, "output_tokens": 2}, cost_picos=10)))
    tally.count(line(charged(quantities={"input_tokens": 1}, cost_picos=5, currency="EUR"), status="estimated"))

    [(name, series)] = tally.series.items()
    assert name == ("p", "m", WIRE)
    assert series.statuses == {"ok": 1, "estimated": 1}
    assert series.units == {"input_tokens": 8, "output_tokens": 2}
    assert series.costs == {"USD": 10, "EUR": 5}


def test_each_attempt_is_counted_under_its_own_model() -> None:
    """What a failed attempt cost belongs to its model; the call belongs to the model that answered."""
    tally = CallTally()
    tally.count(line(charged("first", cost_picos=3), charged("second", cost_picos=4)))

    assert {name[1]: (series.costs["USD"], sum(series.statuses.values())) for name, series in tally.series.items()} == {
        "first": (3, 0),
        "second": (4, 1),
    }


def test_the_provider_s_time_is_taken_out_of_the_gateway_s() -> None:
    """Of a call of 100 ms whose provider took 80 ms, the gateway took 20 ms."""
    tally = CallTally()
    tally.count(line(charged(timeline=Timeline(1_000, 5_000, 25_000, 85_000))))
    [series] = tally.series.values()

    found = {name: getattr(series, name)[-1] for name in ("took", "gateway", "first_byte", "provider")}
    assert found == {"took": 100_000, "gateway": 20_000, "first_byte": 20_000, "provider": 80_000}


@pytest.mark.parametrize("timeline", [Timeline(), Timeline(1, 2), Timeline(1, 2, 3)])
def test_unknown_times_are_not_counted(timeline: Timeline) -> None:
    """Where a step is not known, the times that need it are not counted: nothing is taken for zero."""
    tally = CallTally()
    tally.count(line(charged(timeline=timeline)))
    tally.count(line(charged(timeline=Timeline(1, 2, 3, 4), attempts=2)))  # one attempt was not charged
    [series] = tally.series.values()

    assert sum(series.took[:-1]) == 2
    assert sum(series.gateway[:-1]) == 0
    assert sum(series.provider[:-1]) == 1


@pytest.mark.parametrize("value", [0, 1, 999, 1_000, 1_001, 1_189, 1_190, BOUNDS_US[-1], BOUNDS_US[-1] + 1])
def test_a_time_is_in_the_first_bucket_that_has_room_for_it(value: int) -> None:
    """A time is counted in the first bucket whose bound it does not exceed, as Prometheus reads buckets."""
    tally = CallTally()
    tally.count(line(charged(), took_us=value))
    [series] = tally.series.values()

    expected = next((place for place, bound in enumerate(BOUNDS_US) if value <= bound), len(BOUNDS_US))
    assert series.took[:-1].index(1) == expected


def test_a_refused_call_says_no_word_of_its_client() -> None:
    """A call that was refused is counted by its code; the model that its client named is in no series."""
    tally = CallTally()
    tally.count(line(status="refused", refusal="unknown_model"))

    assert list(tally.series) == [("", "", WIRE)]
    assert tally.refusals == {"unknown_model": 1}


def test_series_are_bounded() -> None:
    """With 10,000 models there are a fixed number of series, the rest of a provider is one, and no call is lost."""
    tally = CallTally()
    for number in range(10_000):
        tally.count(line(charged(f"model-{number}", cost_picos=1)))

    assert len(tally.series) == SERIES_MAX + 1
    assert tally.series["p", OTHER, WIRE].statuses["ok"] == 10_000 - SERIES_MAX
    assert sum(series.costs["USD"] for series in tally.series.values()) == 10_000


def test_several_processes_come_to_what_one_would_have_counted() -> None:
    """The sum of the figures of several processes is what one process would have counted of the same calls."""
    chance = random.Random(18)
    together, apart = CallTally(), [CallTally() for _ in range(3)]
    for _ in range(500):
        made = charged(
            chance.choice("abc"), quantities={"input_tokens": chance.randrange(9_000)},
            cost_picos=chance.randrange(10**24), timeline=Timeline(1, 2, chance.randrange(10**6), 10**6),
        )  # fmt: skip
        one = line(made, took_us=chance.randrange(10**8), status=chance.choice(("ok", "failed")))
        together.count(one)
        chance.choice(apart).count(one)
    summed = total([snapshot(one) for one in apart], 0)

    assert summed.series == together.series
    assert (summed.commands, summed.batches[1], summed.cpu_us) == (9, 9, 15)
    assert sum((Decimal(one.costs["USD"]) for one in summed.series.values()), Decimal(0)) > 2**64  # not cut


def test_a_dead_process_keeps_its_counts_and_loses_its_queues() -> None:
    """What a process counted stays when it writes no more; what was waiting in it is not waiting any more."""
    dead, alive = CallTally(), CallTally()
    dead.count(line(charged()))
    alive.count(line(charged()))
    summed = total([snapshot(dead, waiting=7), snapshot(alive, 11_000_000, waiting=2)], 11_000_000)

    assert summed.series["p", "m", WIRE].statuses == {"ok": 2}
    assert summed.gauges == {"waiting": 2}
    assert summed.workers == 1


def test_histograms_have_a_place_for_everything() -> None:
    """Each histogram has a bucket for every bound, one beyond, and the sum."""
    series = no_series()

    assert {len(one) for one in series[3:7]} == {len(BOUNDS_US) + 2}
    assert {len(one) for one in series[7:]} == {len(TOKEN_BOUNDS) + 2}
