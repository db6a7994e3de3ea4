"""Events as rows of files, of this version and of those before."""

import pyarrow as pa
import pytest
from tests.factories import with_own
from tests.store import history

from pertoken.core.events import NOT_TIMED, Event, OfCall, OfCorrection, OfReport
from pertoken.core.reporting import SUMS, event_sums
from pertoken.ports.months import StoredEvent
from pertoken.store.month_rows import SCHEMA, from_batch, is_known, schema_of, to_batch
from pertoken.store.schema import TIMELINE

STORED = [StoredEvent(event, number) for number, event in enumerate(history.made(1, 200))]
TIMED = ("attempts", *TIMELINE, "error")


def older(*dropped: str) -> pa.RecordBatch:
    """Return the rows as a version before wrote them: without some columns, and with 0 for the price."""
    columns = {name: column for name, column in to_batch(STORED).to_pydict().items() if name not in dropped}
    columns["price_picos"] = [0] * len(STORED)
    fields = [field for field in SCHEMA if field.name not in dropped]
    fields = [field.with_nullable(False) if field.name == "price_picos" else field for field in fields]
    return pa.record_batch(columns, schema=pa.schema(fields))


def of_before(event: Event) -> Event:
    """Return an event as it is read where nobody knows its course, its price, and how its call ended."""
    of = event.of._replace(timeline=NOT_TIMED, attempts=None, error=None) if isinstance(event.of, OfCall) else event.of
    return event._replace(of=of, price_picos=None)


def test_events_come_back_as_they_were() -> None:
    """Timelines, attempts and prices are in the file, also where there are none."""
    assert list(from_batch(to_batch(STORED))) == STORED
    assert {type(one.event.of) for one in STORED} == {OfCall, OfReport, OfCorrection}
    assert {one.event.price_picos is None for one in STORED} == {True, False}


@pytest.mark.parametrize("dropped", [TIMED, (*TIMED, "book_lines")])
def test_files_of_before_are_read(dropped: tuple[str, ...]) -> None:
    """What they do not have is not known; no event has a price of 0, and how its call ended is not counted."""
    batch = older(*dropped)
    expected = [one._replace(event=of_before(one.event)) for one in STORED]
    found = list(from_batch(batch))
    ended = [dict(zip(SUMS, event_sums(one.event), strict=True)) for one in found]

    assert is_known(batch.schema)
    assert found == expected
    assert not any(one["failed_calls"] + one["hung_up_calls"] + one["estimated_calls"] for one in ended)


def test_files_without_errors_are_read() -> None:
    """The last version knew prices and courses, but no kinds of errors: those are not counted."""
    columns = to_batch(STORED).drop_columns(["error"])
    batch = pa.record_batch(columns.columns, schema=schema_of(3))

    assert list(from_batch(batch)) == [
        one._replace(event=with_own(one.event, error=None)) if isinstance(one.event.of, OfCall) else one
        for one in STORED
    ]


def test_other_files_are_not_read() -> None:
    """A schema that no version had is not known."""
    assert not is_known(older("attempts").schema)
    assert not is_known(older("raw").schema)
