"""A small history to read in every way: events of some series around the days on which clocks are moved."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pertoken.core.budgets import Attribution
from pertoken.core.calls import THE_CLIENT_HUNG_UP, THE_PROVIDER_FAILED
from pertoken.core.commands import Record
from pertoken.core.events import GATEWAY, Event, EventStatus, OfCall, OfCorrection, OfReport, Timeline
from pertoken.core.periods import parse_time
from pertoken.core.price_book import Sellers
from pertoken.core.provider_errors import ErrorKind
from pertoken.core.usage import Completeness
from pertoken.store.archive import Archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database

DAY_US = 86_400_000_000
CENTRES_US = [
    parse_time(day) for day in ("2025-10-26", "2026-03-29", "2026-04-04T15:00:00Z", "2026-09-30", "2026-11-01")
]
SINCE_US, UNTIL_US = CENTRES_US[0] - 5 * DAY_US, CENTRES_US[-1] + 5 * DAY_US
ENDS = [
    (Completeness.ESTIMATED, "the answer carried no usage"),
    (Completeness.ESTIMATED, f"{THE_CLIENT_HUNG_UP}; {THE_PROVIDER_FAILED}: reset"),
    (Completeness.FINAL, THE_CLIENT_HUNG_UP),
    (Completeness.FINAL, f"{THE_PROVIDER_FAILED}: reset"),
]
TAGS = [(), (("env", "test"),), (("env", ""),), (("env", "prod"), ("f", "x"))]


def series(chance: random.Random) -> Attribution:
    """Return one of many attributions, some of them with parts left out."""
    return Attribution(
        chance.choice([None, "key_1", "key_2"]),
        chance.choice([None, "red", "blue"]),
        chance.choice([None, "acme", "globex"]),
        chance.choice([None, "ann"]),
        "openai",
        chance.choice(["gpt-4o", "gpt-4o-mini"]),
        chance.choice(TAGS),
        chance.choice([None, None, "talk-1", "talk-2"]),
    )


def made(seed: int, count: int, *, ended: bool = True, timed: bool = True) -> list[Event]:
    """Return `count` events, the same for a seed; some are corrections, some have no price, some are in euro.

    With `ended` some of the gateway's did not end well; `timed`, those are as it makes them: with their course, and a
    price at times.
    """
    chance, more = random.Random(seed), random.Random(-seed - 1)
    events: list[Event] = []
    for number in range(count):
        at_us = chance.choice(CENTRES_US) + chance.randrange(-3 * DAY_US, 3 * DAY_US)
        if chance.random() < 0.3:
            at_us -= at_us % chance.choice([900_000_000, 3_600_000_000])  # on the edge of a roll-up
        status = chance.choice([EventStatus.PRICED] * 9 + [EventStatus.UNPRICED])
        cost = chance.randrange(10**12) if status is EventStatus.PRICED else 0
        tokens = {"input_tokens": chance.randrange(1000), "output_tokens": chance.randrange(1000)}
        currency = chance.choice(["USD"] * 9 + ["EUR"])
        source = chance.choice([GATEWAY, "files", "team:red"])
        one = Event(
            source, f"e{seed}-{number}", series(chance), at_us, at_us, at_us, status, Completeness.FINAL, tokens,
            currency, cost, None, (("input_tokens", tokens["input_tokens"], "pr_1", cost),) if cost else (),
            OfCall() if source == GATEWAY else OfReport(b"body"),
        )  # fmt: skip
        if ended:
            completeness, reason = more.choice([(Completeness.FINAL, None)] * 3 + ENDS)
        if ended and source == GATEWAY:
            failed = ErrorKind.BROKE_OFF if THE_PROVIDER_FAILED in (reason or "") else None
            one = one._replace(completeness=completeness, reason=reason, of=OfCall(error=failed))
        if timed and source == GATEWAY:
            one = with_course(one, more)
        events.append(one)
        if chance.random() < 0.1:
            of = OfCorrection(one.event_id, was_unpriced=status is not EventStatus.PRICED)
            correction = one._replace(event_id=f"{one.event_id}.c1", quantities={}, price_picos=None, of=of)
            less = -(cost // 2)
            lines = (("input_tokens", 0, "pr_2", less),) if less else ()
            events.append(correction._replace(status=EventStatus.PRICED, cost_picos=less, lines=lines))
    return events


def with_course(event: Event, chance: random.Random) -> Event:
    """Return an event with a timeline, some without an answer, and at times a price."""
    took_us = chance.choice([chance.randrange(2_000), chance.randrange(10**7), 2 * 10**9])
    first_us, last_us = chance.choice([(None, None), (took_us // 3, None), (took_us // 2, took_us)])
    course = Timeline(took_us // 9, took_us // 8, first_us, last_us)
    price_picos = chance.choice([None, 0, chance.randrange(10**13)])
    recorded_at_us = event.opened_at_us + took_us
    assert isinstance(event.of, OfCall), event
    of = event.of._replace(timeline=course, attempts=chance.randrange(1, 4))
    return event._replace(recorded_at_us=recorded_at_us, of=of, price_picos=price_picos)


def record(database: Database, events: Iterable[Event]) -> None:
    """Post events, a few hundred in a transaction."""
    left = list(events)
    books = Bookkeeper(database, lambda: UNTIL_US, Sellers())
    books.refresh()
    while left:
        books.transact([Record(event) for event in left[:300]])
        del left[:300]
    books.close()


@contextmanager
def kept_in(url: str, events: Iterable[Event]) -> Iterator[Archive]:
    """Yield what a database that has these events shows."""
    database = Database(url)
    database.migrate()
    record(database, events)
    with database.read() as connection:
        yield Archive(connection)
    database.close()
