"""Calls of years or months in a database, made fast and the same every time: what others measure on.

Rows go in by the tens of thousands, past the ledger but through its schema: events with identities, entries with
postings, balances and roll-ups that agree, as `pertoken verify` finds. The series share the calls unevenly, days are
busier than nights, a fifth of the calls belongs to conversations.
"""

import itertools
import json
import random
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg

from pertoken.core.budgets import Attribution
from pertoken.core.charging import Served, charge
from pertoken.core.conditions import to_context
from pertoken.core.events import Event, EventStatus, OfCall, Timeline
from pertoken.core.ids import new_id
from pertoken.core.latency import places
from pertoken.core.money import split
from pertoken.core.periods import DAY_US, parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.reporting import QUARTER_US, SUMS
from pertoken.core.usage import Completeness
from pertoken.settings import Settings
from pertoken.store import schema
from pertoken.store.database import Database
from pertoken.store.latency import write_counts
from pertoken.store.ledger import LedgerTables, rollup_row
from pertoken.wiring.database import open_database
from pertoken.wiring.prices import read_price_book

END_US = parse_time("2026-11-01")
MODELS = {
    "openai": ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "o4-mini"),
    "anthropic": ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1"),
    "google": ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite"),
}
TEMPLATES = 64  # different calls of one model
ENTRY = 4  # calls of one commit
CHUNK_QUARTERS = 96
POSTED_FIRST = 1  # the id of the first event and of the first entry


class Shape(NamedTuple):
    """How long a history is, when it ends, and of how many names its series are made."""

    end_us: int = END_US
    days: int = 730
    series: int = 400
    keys: int = 40
    teams: int = 8
    customers: int = 60
    users: int = 100
    features: int = 10
    is_split: bool = False  # customers and users are of one team each

    @property
    def start_us(self) -> int:
        """When it begins."""
        return self.end_us - self.days * DAY_US


TWO_YEARS = Shape()


class Template(NamedTuple):
    """What the rows of one call say of its use and cost, and what it adds to sums."""

    quantities: str
    lines: str
    raw: bytes
    cost_picos: int
    sums: tuple[int, ...]
    first_us: int  # until the first byte
    took_us: int
    places: tuple[int, int]  # of its latency counts


class Chunk(NamedTuple):
    """Rows of one day, by table, in the order of their keys."""

    events: list[tuple[Any, ...]]
    identities: list[tuple[Any, ...]]
    entries: list[tuple[Any, ...]]
    postings: list[tuple[Any, ...]]
    rollups: list[tuple[Any, ...]]
    day_rollups: list[tuple[Any, ...]]


class Slots:
    """The sums and latency counts of one stretch of time, by series."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[int, ...]] = {}
        self._latency: dict[int, dict[int, int]] = {}

    def add(self, series_id: int, template: Template) -> None:
        """Add a call."""
        before = self._sums.get(series_id)
        if before is None:
            self._sums[series_id] = template.sums
            self._latency[series_id] = dict.fromkeys(template.places, 1)
            return
        self._sums[series_id] = tuple(map(int.__add__, before, template.sums))
        counts = self._latency[series_id]
        for place in template.places:
            counts[place] = counts.get(place, 0) + 1

    def rows(self, start_us: int) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of roll-ups."""
        for one in sorted(self._sums):
            yield rollup_row((start_us, one, "USD"), self._sums[one], write_counts(self._latency[one]))


def make(url: str, count: int, seed: int = 1, shape: Shape = TWO_YEARS) -> None:
    """Make a new database with `count` events."""
    settings = Settings(database_url=url)
    with open_database(settings) as installation:
        book, database = read_price_book(installation), installation.database
        chance = random.Random(seed)  # noqa: S311 - the same every time
        who = owners(chance, shape)
        chunks = _chunks(chance, who, _series_ids(database, who), _templates(chance, book), count, shape)
        if database.url.get_backend_name() == "sqlite":
            _fill_sqlite(database, chunks)
        else:
            _fill_postgresql(database, chunks, shape)


def owners(chance: random.Random, shape: Shape = TWO_YEARS) -> list[Attribution]:
    """Return the attributions of all series, the busiest first: a key has one team, and its own few models."""
    found: dict[Attribution, None] = {}
    while len(found) < shape.series:
        key = chance.randrange(shape.keys)
        team, provider = key % shape.teams, chance.choice(list(MODELS))
        customer, user = chance.randrange(shape.customers), chance.randrange(shape.users)
        if shape.is_split:
            customer, user = (one // shape.teams * shape.teams + team for one in (customer, user))
        found[
            Attribution(
                f"key_{key:026}",
                f"team-{team}",
                f"customer-{customer}",
                f"user-{user}",
                provider,
                chance.choice(MODELS[provider]),
                (("env", "production"), ("feature", f"feature-{chance.randrange(shape.features)}")),
            )
        ] = None
    return list(found)


def _series_ids(database: Database, who: Sequence[Attribution]) -> list[int]:
    tables, writer = LedgerTables(database.sql), database.hot_writer()
    writer.begin(wait=True)
    ids = [tables.series_id(writer.cursor, owner) for owner in who]
    writer.commit()
    writer.close()
    return ids


def _templates(chance: random.Random, book: PriceBook) -> dict[str, list[Template]]:
    found: dict[str, list[Template]] = {}
    for provider, models in MODELS.items():
        for model in models:
            found[model] = [_template(chance, book, provider, model) for _ in range(TEMPLATES)]
    return found


def _template(chance: random.Random, book: PriceBook, provider: str, model: str) -> Template:
    tokens = int(chance.lognormvariate(7, 1)) + 1
    output = int(chance.lognormvariate(5.5, 1)) + 1
    cached = tokens * chance.randrange(2) // 2
    quantities = {"input_tokens": tokens, "output_tokens": output, "cache_read_tokens": cached}
    charged = charge(book, Served(provider, model, None, END_US, to_context(())), quantities)
    assert charged.status == "priced", (model, charged)
    usage = {"prompt_tokens": tokens, "completion_tokens": output, "total_tokens": tokens + output}
    usage["prompt_tokens_details"] = {"cached_tokens": cached, "audio_tokens": 0}
    sums = {**quantities, "calls": 1, "cost_picos": charged.cost_picos}
    texts = (json.dumps(value, separators=(",", ":")) for value in (quantities, charged.lines, usage))
    quantities_text, lines, raw = texts
    of_sums = tuple(sums.get(name, 0) for name in SUMS)
    first_us, more_us = int(chance.lognormvariate(13, 0.5)), int(chance.lognormvariate(14, 0.7))
    took_us = first_us + more_us
    course = Timeline(700, 1_100, first_us, took_us - 10)
    event = Event(
        "gateway", "", Attribution(), 0, took_us, 0, EventStatus.PRICED, Completeness.FINAL, {}, "USD", 0, None, (),
        OfCall(timeline=course, attempts=1),
    )  # fmt: skip
    total, first = places(event)
    return Template(
        quantities_text, lines, raw.encode(), charged.cost_picos, of_sums, first_us, took_us, (total, first)
    )


def _chunks(  # noqa: PLR0917 - what it is made of
    chance: random.Random,
    who: Sequence[Attribution],
    ids: Sequence[int],
    templates: dict[str, list[Template]],
    count: int,
    shape: Shape,
) -> Iterator[Chunk]:
    """Yield the rows of each day, until `count` events are made."""
    shares = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(who))))
    busy = [1 + 2 * (32 <= quarter < 76) for quarter in range(CHUNK_QUARTERS)]  # from eight to seven
    weights = list(itertools.accumulate(itertools.chain.from_iterable(busy for _ in range(shape.days))))
    upto = [count * weight // weights[-1] for weight in weights]
    counter = _Counter()
    made = 0
    for day in range(shape.days):
        chunk = Chunk([], [], [], [], [], [])
        of_day = Slots()
        for quarter in range(day * CHUNK_QUARTERS, (day + 1) * CHUNK_QUARTERS):
            many, made = upto[quarter] - made, upto[quarter]
            of_quarter = Slots()
            start_us = shape.start_us + quarter * QUARTER_US
            times_us = sorted(chance.choices(range(start_us, start_us + QUARTER_US), k=many))
            chosen = chance.choices(range(len(who)), cum_weights=shares, k=many)
            for at_us, which in zip(times_us, chosen, strict=True):
                template = chance.choice(templates[who[which].model or ""])
                _add_call(chunk, counter, chance, at_us, who[which], ids[which], template)
                of_quarter.add(ids[which], template)
                of_day.add(ids[which], template)
            chunk.rollups.extend(of_quarter.rows(start_us))
        chunk.day_rollups.extend(of_day.rows(shape.start_us + day * DAY_US))
        counter.end_entries(chunk)
        yield chunk


class _Counter:
    """Ids as they go up, and the entries of providers that are not full yet."""

    def __init__(self) -> None:
        self.event_id = POSTED_FIRST - 1
        self.entry_id = POSTED_FIRST - 1
        self._open: dict[str, tuple[int, int, int, int]] = {}  # provider -> entry id, when, how many calls, picos

    def post(self, chunk: Chunk, provider: str, at_us: int, cost_picos: int) -> int:
        entry = self._open.get(provider)
        if entry is None:
            self.entry_id += 1
            entry = (self.entry_id, at_us, 0, 0)
        entry_id, first_us, calls, picos = entry
        self._open[provider] = (entry_id, first_us, calls + 1, picos + cost_picos)
        if calls + 1 == ENTRY:
            self._end(chunk, provider)
        return entry_id

    def end_entries(self, chunk: Chunk) -> None:
        for provider in list(self._open):
            self._end(chunk, provider)
        chunk.entries.sort()
        chunk.postings.sort()

    def _end(self, chunk: Chunk, provider: str) -> None:
        entry_id, at_us, _, picos = self._open.pop(provider)
        chunk.entries.append((entry_id, at_us, "usage", "USD"))
        chunk.postings.append((entry_id, f"provider_cost:{provider}", *split(picos)))
        chunk.postings.append((entry_id, f"provider_payable:{provider}", *split(-picos)))


def _add_call(  # noqa: PLR0917 - a call's parts
    chunk: Chunk,
    counter: _Counter,
    chance: random.Random,
    at_us: int,
    owner: Attribution,
    series_id: int,
    template: Template,
) -> None:
    counter.event_id += 1
    name = new_id("call", at_us, chance.getrandbits(80))
    entry_id = counter.post(chunk, owner.provider or "", at_us, template.cost_picos)
    talk = chance.getrandbits(64)
    conversation = _conversation(at_us, talk) if talk % 5 == 0 else None
    chunk.events.append(
        (
            counter.event_id, "gateway", name, series_id, conversation, at_us, at_us + template.took_us, at_us,
            "priced", "final", template.quantities, "USD", *split(template.cost_picos), None, None, template.lines,
            owner.model, None, f"chatcmpl-{talk:020}", template.raw, None, None, *split(template.cost_picos * 3), 0, 0,
            False, "", None, "", None, False, "", 700, 1_100, template.first_us, template.took_us - 10, 1, entry_id,
        )
    )  # fmt: skip
    chunk.identities.append((name, "gateway", b"", at_us))


def _conversation(at_us: int, talk: int) -> str:
    """Return one of four that go on for ten minutes; their names are in no order, as those of applications."""
    number = at_us // 600_000_000 * 4 + talk // 5 % 4
    return f"talk-{number * 0x9E3779B97F4A7C15 % 2**64:016x}"


TABLES = (
    schema.events, schema.identities, schema.entries, schema.postings, schema.rollups, schema.day_rollups,
)  # fmt: skip


def _fill_sqlite(database: Database, chunks: Iterator[Chunk]) -> None:
    with database.write() as connection:
        for index in schema.events.indexes:
            index.drop(connection)
    database.close()
    connection = sqlite3.connect(database.place, isolation_level=None)
    for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "cache_size=-200000"):
        connection.execute(f"PRAGMA {pragma}")
    inserts = [f"INSERT INTO {one.name} VALUES ({', '.join('?' * len(one.columns))})" for one in TABLES]  # noqa: S608 - our own tables
    for chunk in chunks:
        connection.execute("BEGIN")
        for insert, rows in zip(inserts, chunk, strict=True):
            connection.executemany(insert, rows)
        connection.execute("COMMIT")
    connection.execute(_BALANCES)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    with database.write() as writer:
        for index in sorted(schema.events.indexes, key=str):
            index.create(writer)


def _fill_postgresql(database: Database, chunks: Iterator[Chunk], shape: Shape) -> None:
    writer = database.hot_writer()
    writer.begin(wait=True)
    writer.cover(range(shape.start_us, shape.end_us, DAY_US))
    writer.commit()
    writer.close()
    address = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for index in schema.events.indexes:
            connection.execute(f"DROP INDEX {index.name}")
        for chunk in chunks:
            with connection.transaction(), connection.cursor() as cursor:
                for table, rows in zip(TABLES, chunk, strict=True):
                    with cursor.copy(f"COPY {table.name} ({', '.join(table.columns.keys())}) FROM STDIN") as copy:
                        for row in rows:
                            copy.write_row(row)
        connection.execute(_BALANCES)
        for table, column in ((schema.events, "id"), (schema.entries, "entry_id")):
            sequence = f"pg_get_serial_sequence('{table.name}', '{column}')"
            connection.execute(f"SELECT setval({sequence}, (SELECT max({column}) FROM {table.name}))")  # noqa: S608 - as above
    with database.write() as connection:
        for index in sorted(schema.events.indexes, key=str):
            index.create(connection)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


_BALANCES = (
    "INSERT INTO accounts"
    " SELECT account, currency, sum(amount_picos_high) + CAST(sum(amount_picos_low) AS BIGINT) / 1000000000000,"
    " CAST(sum(amount_picos_low) AS BIGINT) % 1000000000000"
    " FROM postings JOIN entries ON entries.entry_id = postings.entry_id GROUP BY 1, 2"
)
