"""Every value of an event survives the database and files, whatever the event is of."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.budgets import Attribution
from pertoken.core.events import GATEWAY, Event, EventStatus, OfCall, OfCorrection, OfReport, Timeline
from pertoken.core.money import split
from pertoken.core.usage import Completeness
from pertoken.ports.months import StoredEvent
from pertoken.store.event_columns import FILES_NOW, VALUES, ColumnKind, EventValue, event_of, event_row, file_values
from pertoken.store.month_rows import from_batch, is_known, schema_of, to_batch
from pertoken.store.schema import events

BESIDE = ("series_id", "entry_id")  # columns that say nothing of the event itself
ROW = [column.name for column in events.columns if column is not events.autoincrement_column]
WITH_PRICE = 3  # the first version of files that knew that an event may have no price
NESTED = {(Event, "attribution"), (Event, "of"), (OfCall, "timeline")}

texts = st.text(max_size=9)
some = st.none() | texts
counts = st.integers(0, 2**62)
amounts = st.integers(-(10**38) + 1, 10**38 - 1)
pairs = st.dictionaries(texts, texts, max_size=3).map(lambda given: tuple(sorted(given.items())))
quantities = st.dictionaries(texts, counts, max_size=3)
lines = st.lists(st.tuples(texts, counts, texts, st.integers(-(2**62), 2**62)), max_size=3).map(tuple)
parts = st.lists(st.tuples(texts, quantities), max_size=2).map(tuple)

timelines = st.builds(Timeline, *[st.none() | counts] * len(Timeline._fields))
of_calls = st.builds(OfCall, amounts, amounts, st.booleans(), some, timelines, st.none() | counts)
of_reports = st.builds(OfReport, st.binary(max_size=9))
of_corrections = st.builds(OfCorrection, texts, st.booleans())
sources = texts.filter(lambda source: source != GATEWAY)
KINDS = (
    st.tuples(st.just(GATEWAY), of_calls),
    st.tuples(sources, of_reports),
    st.tuples(st.just(GATEWAY) | sources, of_corrections),
)


@st.composite
def made(draw: st.DrawFn) -> Event:
    """Return an event of any kind, each field as odd as it may be."""
    source, of = draw(st.one_of(KINDS))
    owner = Attribution(*[draw(some) for _ in range(6)], draw(pairs), draw(some))
    return Event(
        source, draw(texts), owner, draw(counts), draw(counts), draw(counts), draw(st.sampled_from(EventStatus)),
        draw(st.sampled_from(Completeness)), draw(quantities), draw(texts), draw(amounts), draw(st.none() | amounts),
        draw(lines), of, draw(some), draw(some), draw(some), draw(st.binary(max_size=9)), draw(some), draw(pairs),
        draw(some), draw(parts), draw(lines),
    )  # fmt: skip


def stored(value: EventValue, of: Any) -> list[Any]:
    """Return what a value's columns hold in the database, as the table tells it."""
    if value.form.kind is ColumnKind.AMOUNT:
        return [None, None] if of is None else list(split(of))
    if value.form.blank and not of:
        return [""]
    return [of if value.form.encode is None else value.form.encode(of)]


def before(event: Event, version: int) -> Event:
    """Return what is known of an event from a file of a version."""
    unknown = {(value.owner, value.field): value.before for value in VALUES if value.since > version}

    def less(of: Any) -> Any:
        lost = {field: unknown[type(of), field] for field in of._fields if (type(of), field) in unknown}
        nested = {name: less(getattr(of, name)) for owner, name in NESTED if isinstance(of, owner)}
        return of._replace(**lost, **nested)

    found = less(event)
    assert isinstance(found, Event)
    return found


def test_each_field_has_one_row_of_the_table() -> None:
    """No field of an event, and of what only some events have, is forgotten or told twice."""
    owners = (Event, Attribution, OfCall, Timeline, OfReport, OfCorrection)
    fields = [(owner, field) for owner in owners for field in owner._fields if (owner, field) not in NESTED]

    assert sorted(map(str, fields)) == sorted(str((value.owner, value.field)) for value in VALUES)


def test_the_table_and_the_schema_agree() -> None:
    """Each column of events belongs to one value, and may be empty exactly where the table says so."""
    columns = [(name, value.nullable) for value in VALUES for name in value.columns]

    assert sorted(columns) == sorted((name, events.c[name].nullable) for name in ROW if name not in BESIDE)


@given(made())
def test_a_row_is_written_as_the_table_says(event: Event) -> None:
    """The writer of rows, which does not walk the table, puts each value into its columns, and null where none is."""
    row = dict(zip(ROW, event_row(event, 7, 8), strict=True))
    values = zip(VALUES, file_values(event), strict=True)
    expected = {
        name: column
        for value, of in values
        if value.columns
        for name, column in zip(value.columns, stored(value, of), strict=True)
    }

    assert row == {**expected, "series_id": 7, "entry_id": 8}
    assert {type(row[name]) for name in ("status", "completeness")} == {str}  # what a driver takes for a text


@given(made())
def test_an_event_survives_the_database(event: Event) -> None:
    """What is read from a row is what was written; only what was reported has its hash in another table."""
    of = OfReport() if isinstance(event.of, OfReport) else event.of

    assert event_of((1, *event_row(event, 7, None), "of a join"), event.attribution) == event._replace(of=of)


@given(st.lists(st.builds(StoredEvent, made(), st.none() | counts), max_size=4))
def test_events_survive_files(some_events: list[StoredEvent]) -> None:
    """Events of all kinds come back from a file as they were, in their order."""
    assert list(from_batch(to_batch(some_events))) == some_events


@pytest.mark.parametrize("version", range(1, FILES_NOW))
@given(given_events=st.lists(st.builds(StoredEvent, made(), st.none() | counts), max_size=4))
def test_events_survive_files_of_before(version: int, given_events: list[StoredEvent]) -> None:
    """What files of a version before do not say is read as the table tells it, and all else as it was."""
    schema = schema_of(version)
    now, free = to_batch(given_events), pa.array([0] * len(given_events), schema.field("price_picos").type)
    columns = [free if name == "price_picos" and version < WITH_PRICE else now.column(name) for name in schema.names]
    batch = pa.record_batch(columns, schema=schema)

    assert is_known(batch.schema)
    assert list(from_batch(batch)) == [one._replace(event=before(one.event, version)) for one in given_events]
