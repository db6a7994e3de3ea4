"""Corrections of an event come to what it costs now, and once made need no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import event, hold

from pertoken.core.charging import Charge
from pertoken.core.corrections import correct, is_stated, with_fees
from pertoken.core.events import Event, EventStatus, Lines, OfCorrection
from pertoken.core.rates import FEE, REPORTED

CALL = event(hold("call_1"), 0)
units = st.sampled_from(["input_tokens", "output_tokens"])
lines = st.lists(
    st.tuples(units, st.integers(0, 50), st.sampled_from(["pr_1", "pr_2"]), st.integers(0, 10**15)), max_size=3
).map(tuple)
statuses = st.sampled_from([EventStatus.PRICED, EventStatus.UNPRICED])
currencies = st.sampled_from(["USD", "EUR"])


def cost_of(of: Lines) -> int:
    """Return what lines come to."""
    return sum(line[3] for line in of)


def charged(of: Lines, currency: str = "USD", status: EventStatus = EventStatus.PRICED) -> Charge:
    """Return a charge of some lines."""
    return Charge(status, currency, cost_of(of), of, None if status is EventStatus.PRICED else "no price is known")


def made(of: Lines, currency: str, status: EventStatus) -> Event:
    """Return an event of some lines."""
    return CALL._replace(lines=of, cost_picos=cost_of(of), currency=currency, status=status)


def net(events: list[Event], currency: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Return quantity and amount of each unit and price in all lines of a currency."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for unit, quantity, price_id, picos in (line for one in events if one.currency == currency for line in one.lines):
        before = sums.get((unit, price_id), (0, 0))
        sums[unit, price_id] = (before[0] + quantity, before[1] + picos)
    return {key: amounts for key, amounts in sums.items() if amounts != (0, 0)}


@given(lines, currencies, statuses, st.lists(st.tuples(lines, currencies), min_size=1, max_size=4))
def test_events_and_corrections_come_to_the_cost_of_now(
    was: Lines, currency: str, status: EventStatus, later: list[tuple[Lines, str]]
) -> None:
    """However often prices and currencies change, the sums are those of the last, and every other currency has 0."""
    one = made(was, currency, status)
    events = [one]
    for number, (now, in_currency) in enumerate(later):
        after = charged(now, in_currency)
        outcome = correct(one, events[1:], after, 1_000 + number)
        events += outcome.corrections
        others = {each.currency for each in events} - {in_currency}

        assert sum(each.cost_picos for each in events if each.currency == in_currency) == cost_of(now)
        assert net(events, in_currency) == net([made(now, in_currency, status)], in_currency)
        assert all(net(events, other) == {} for other in others)
        assert correct(one, events[1:], after, 2_000).corrections == ()
    assert len({each.event_id for each in events}) == len(events)
    assert all(cost_of(each.lines) == each.cost_picos for each in events)
    counted = [each.of.was_unpriced for each in events[1:] if isinstance(each.of, OfCorrection)]
    assert sum(counted) == (status is not EventStatus.PRICED)


@given(lines, currencies, statuses)
def test_what_has_a_cost_keeps_it_without_a_price(was: Lines, currency: str, status: EventStatus) -> None:
    """A price that is gone is no price of 0."""
    gone = charged((), "USD", EventStatus.UNPRICED)

    assert correct(made(was, currency, status), [], gone, 1).corrections == ()


@pytest.mark.parametrize(
    ("was", "now", "difference"), [(None, None, None), (None, 7, 7), (5, None, -5), (5, 7, 2), (0, 0, 0)]
)
def test_the_customers_price_is_corrected_by_its_difference(
    was: int | None, now: int | None, difference: int | None
) -> None:
    """What a customer was charged and what it is charged now; nothing where neither is known."""
    old, new = (("input_tokens", 10, "pr_1", 40),), (("input_tokens", 10, "pr_2", 90),)
    one = made(old, "USD", EventStatus.PRICED)._replace(price_picos=was)
    [correction] = correct(one, [], charged(new), 1, lambda _: now).corrections

    assert (correction.cost_picos, correction.price_picos) == (50, difference)


def test_what_a_provider_states_is_told_by_its_line() -> None:
    """A line of the price book does not make an event stated."""
    stated, booked = (("cost", 1, REPORTED, 5),), (("input_tokens", 1, "pr_1", 5),)

    assert is_stated(CALL._replace(lines=stated))
    assert not is_stated(CALL._replace(lines=booked))


def test_fees_stay_beside_a_new_charge() -> None:
    """A fee is added to the lines and to the cost; without one, nothing changes."""
    after, fee = charged((("input_tokens", 1, "pr_1", 5),)), ((FEE, 1, FEE, 3),)

    assert with_fees(after, ()) == after
    assert with_fees(after, fee).lines == (*after.lines, *fee)
    assert with_fees(after, fee).cost_picos == 8
