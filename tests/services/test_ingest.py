from collections.abc import Sequence
from typing import Any

import pytest
from tests.factories import price_row

from pertoken.core import rating
from pertoken.core.budgets import Attribution
from pertoken.core.commands import Conflict, Duplicate, Recorded, RecordResult
from pertoken.core.events import Event, EventStatus, reported_hash
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.usage import QUANTITY_MAX
from pertoken.services.ingest import (
    COST_MAX,
    TAGS_MAX,
    TEXT_MAX,
    NotAnEvent,
    RejectedLine,
    UsageRecord,
    ingest,
    judge,
    read_event,
    read_quantities,
    to_event,
)
from pertoken.settings import load

NOW_US = 1_795_000_000_000_000
LINE: dict[str, Any] = {
    "id": "a",
    "at": "2026-11-20T12:00:00Z",
    "provider": "p",
    "model": "m",
    "usage": {"input_tokens": 7},
}


BOOK = PriceBook(
    [
        price_row("input_tokens", 3),
        price_row("output_tokens", 11),
        price_row("input_tokens", 1, conditions=(("batch", "true"),)),
    ]
)


class Books:
    """Remembers what was recorded, as the ledger does, and how many commands came in each transaction."""

    def __init__(self) -> None:
        self.prices = BOOK
        self.known: dict[tuple[str, str], bytes] = {}
        self.batches: list[int] = []

    def record_all(self, events: Sequence[Event]) -> list[RecordResult]:
        """Record each event once."""
        self.batches.append(len(events))
        return [self._record(event) for event in events]

    def _record(self, event: Event) -> RecordResult:
        known = self.known.setdefault((event.source, event.event_id), reported_hash(event))
        if known is reported_hash(event):
            return Recorded()
        return Duplicate() if known == reported_hash(event) else Conflict()


def reported(event_id: str = "a", line: int = 1, **fields: Any) -> UsageRecord:
    """Return a record of 7 input tokens."""
    record = UsageRecord(line, "test", event_id, 0, Attribution(provider="p", model="m"), {"input_tokens": 7})
    return record._replace(**fields)


def test_what_came_of_each_line_is_counted() -> None:
    """Accepted, duplicate, conflicting and rejected lines are told apart, the last two by their numbers."""
    records = [
        reported("a", 1),
        reported("a", 2),
        reported("a", 3, quantities={"input_tokens": 8}),
        RejectedLine(4, "invalid_json", "no"),
        reported("b", 5, quantities={"input_tokens": 1, "cache_read_tokens": 2}),
    ]
    tally = ingest(records, Books(), NOW_US)

    assert (tally.accepted, tally.duplicate, tally.conflicting) == (1, 1, (3,))
    assert [(problem.line, problem.code) for problem in tally.rejected] == [
        (4, "invalid_json"),
        (5, "contradictory_usage"),
    ]


@pytest.mark.parametrize(("records", "batches"), [(0, []), (1, [1]), (1000, [1000]), (2001, [1000, 1000, 1])])
def test_a_transaction_holds_a_thousand(records: int, batches: list[int]) -> None:
    """Commands go to the books in batches of 1,000, each durable before the next is read."""
    books = Books()
    tally = ingest((reported(f"{number}", number) for number in range(records)), books, NOW_US)

    assert books.batches == batches
    assert tally.accepted == records


@pytest.mark.parametrize(
    ("cost_max", "accepted"),
    [("0.000000000021", [1, 3]), ("0.00000000002", [3]), ("100", [1, 2, 3]), ("0", [])],
)
def test_one_event_costs_at_most_what_the_operator_says(cost_max: str, accepted: list[int]) -> None:
    """An event that would cost more is refused by its line, with both amounts; the others are taken in."""
    records = [
        reported(f"{tokens}", line, quantities={"input_tokens": tokens}) for line, tokens in enumerate((7, 8, 1), 1)
    ]
    events, rejected = judge(records, BOOK, NOW_US, cost_max)

    assert [line for line, _ in events] == accepted
    assert [problem.line for problem in rejected] == [line for line in (1, 2, 3) if line not in accepted]
    for problem in rejected:
        assert problem.code == "above_limit"
        assert f"may cost {cost_max} USD" in problem.message
        assert "limits.reported_event" in problem.message


def test_a_trillion_tokens_are_refused_unless_the_operator_allows_them() -> None:
    """Seventy reports of 10^12 tokens at a dear price filled an account once: none of them is taken in by default."""
    dear = PriceBook([price_row("input_tokens", 10**9)])
    records = [reported(f"{number}", number, quantities={"input_tokens": QUANTITY_MAX}) for number in range(70)]

    assert [problem.code for problem in judge(records, dear, NOW_US)[1]] == ["above_limit"] * 70
    assert len(judge(records, dear, NOW_US, "1000000000")[0]) == 70


def test_what_one_event_may_cost_is_the_same_everywhere() -> None:
    """The default of the settings is that of ingestion."""
    assert load({}).limits.reported_event == COST_MAX


@pytest.mark.parametrize("picos", [10**15, 10**16])
def test_a_cost_beyond_all_is_not_taken_in(picos: int) -> None:
    """A quantity at a price that makes more than an amount can be is refused, whatever the operator allows."""
    book = PriceBook([price_row("input_tokens", picos)])
    records = [reported(quantities={"input_tokens": QUANTITY_MAX})]
    events, rejected = judge(records, book, NOW_US, "1000000000000000")

    assert [event.cost_picos for _, event in events] == ([10**27] if picos == 10**15 else [])
    assert [problem.code for problem in rejected] == ([] if picos == 10**15 else ["above_limit"])


def test_an_event_costs_what_rating_says() -> None:
    """Status, lines and cost are those of core.rating at the prices in force, in batches at the batch price."""
    quantities = {"input_tokens": 7, "output_tokens": 5}
    event = to_event(reported(quantities=quantities), BOOK, NOW_US)
    rates = BOOK.resolve("p", "m", 0)
    assert isinstance(rates, Rates)
    rated = rating.rate(quantities, rates)
    assert isinstance(rated, rating.Rated)

    assert (event.status, event.cost_picos) == (EventStatus.PRICED, rated.cost_picos) == (EventStatus.PRICED, 76)
    assert event.lines == (("input_tokens", 7, "pr_input_tokens", 21), ("output_tokens", 5, "pr_output_tokens", 55))
    assert to_event(reported(batch=True), BOOK, NOW_US).cost_picos == 7


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"attribution": Attribution(provider="p", model="other")}, 21),
        ({"attribution": Attribution(provider="q", model="m")}, 0),
        ({"quantities": {"pages": 1}}, 0),
        ({"quantities": {"pages": 1, "input_tokens": 7}}, 21),
        ({"service_tier": "flex", "quantities": {"input_tokens": 7, "output_tokens": 5}}, 76),
    ],
)
def test_without_a_price_it_is_kept_and_unpriced(fields: dict[str, Any], cost: int) -> None:
    """An event whose model, unit or tier has no price is recorded with the reason, at the dearest rates known."""
    event = to_event(reported(**fields), BOOK, NOW_US)

    assert event.status is EventStatus.UNPRICED
    assert event.reason
    assert event.cost_picos == cost
    assert event.lines == ((("provisional", 1, "dearest", cost),) if cost else ())


def test_identity_is_content() -> None:
    """The same content has the same hash, whatever line it stood in and in whatever order; any change has another."""
    ways = [{"input_tokens": 7, "output_tokens": 5}, {"output_tokens": 5, "input_tokens": 7}]
    same = {reported_hash(to_event(reported("a", line, quantities=way), BOOK, line)) for line, way in enumerate(ways)}
    others = [
        reported(quantities={"input_tokens": 8}),
        reported(occurred_at_us=1),
        reported(service_tier="default"),
        reported(batch=True),
        reported(attribution=Attribution(provider="p", model="m", customer="c")),
    ]
    hashes = {reported_hash(to_event(record, BOOK, 0)) for record in [reported(), *others]}

    assert len(same) == 1
    assert len(hashes) == len(others) + 1


def test_an_event_says_whom_it_belongs_to() -> None:
    """Every field of attribution is read; a number is its digits; tags are sorted by name."""
    fields = {"key": "k", "team": "t", "customer": 17, "user": "u", "conversation": "c", "tags": {"b": 2, "a": "1"}}
    record = read_event(1, {**LINE, **fields, "service_tier": "flex", "batch": True, "source": "s"}, {})

    assert record.attribution == Attribution("k", "t", "17", "u", "p", "m", (("a", "1"), ("b", "2")), "c")
    assert (record.source, record.event_id, record.service_tier, record.batch) == ("s", "a", "flex", True)
    assert record.occurred_at_us == 1_795_176_000_000_000


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": None}, "id is missing"),
        ({"id": ""}, "id is missing"),
        ({"id": True}, "id must be a text"),
        ({"id": ["a"]}, "id must be a text"),
        ({"id": 2**63}, "a number so large"),
        ({"id": "x" * (TEXT_MAX + 1)}, "id is longer than"),
        ({"at": None}, "at is missing"),
        ({"at": 1793491200}, "at is missing"),
        ({"at": "noon"}, "not a time"),
        ({"at": "1969-12-31T23:59:59Z"}, "between 1970 and 9999"),
        ({"model": None}, "provider and model"),
        ({"provider": {}}, "provider must be a text"),
        ({"source": "gateway"}, "reserved for the gateway"),
        ({"customer": {"id": 1}}, "customer must be a text"),
        ({"tags": ["a"]}, "tags must be an object"),
        ({"tags": {str(number): "" for number in range(TAGS_MAX + 1)}}, "tags must be an object"),
        ({"tags": {"a": []}}, "a must be a text"),
        ({"batch": "yes"}, "batch must be true or false"),
        ({"usage": None}, "usage must be an object"),
        ({"usage": {}}, "usage is empty"),
        ({"usage": {"input_tokens": None}}, "usage is empty"),
    ],
)
def test_what_is_no_event_is_said(fields: dict[str, Any], said: str) -> None:
    """A line that lacks identity, time, model or usage, or has nonsense in them, is not taken in."""
    with pytest.raises(NotAnEvent, match=said):
        read_event(1, {**LINE, **fields}, {})


@pytest.mark.parametrize("count", [-1, 1.5, True, "7", 10**12 + 1, float("inf")])
def test_a_quantity_is_a_count(count: float) -> None:
    """Only whole numbers from 0 to a trillion are counts."""
    with pytest.raises(NotAnEvent, match="is not a count"):
        read_quantities({"input_tokens": count})


def test_quantities_are_those_that_are_known() -> None:
    """Unknown values are left out, 12.0 is 12, zero is zero; an unknown unit is refused, for it would go uncounted."""
    usage = {"input_tokens": 12.0, "output_tokens": 0, "reasoning_tokens": None, "reported_cost": "0.1"}

    assert read_quantities(usage) == {"input_tokens": 12, "output_tokens": 0}
    with pytest.raises(NotAnEvent, match="unknown unit 'gallons'"):
        read_quantities({"gallons": 1})
