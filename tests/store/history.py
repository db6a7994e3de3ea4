"""A small history to read in every way: events of some series around the days on which clocks are moved."""

import random
from collections.abc import Iterable

from pertoken.core.budgets import Attribution
from pertoken.core.commands import Record
from pertoken.core.events import Event, EventStatus
from pertoken.core.periods import parse_time
from pertoken.core.price_book import Sellers
from pertoken.core.usage import Completeness
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.database import Database

DAY_US = 86_400_000_000
CENTRES_US = [
    parse_time(day) for day in ("2025-10-26", "2026-03-29", "2026-04-04T15:00:00Z", "2026-09-30", "2026-11-01")
]
SINCE_US, UNTIL_US = CENTRES_US[0] - 5 * DAY_US, CENTRES_US[-1] + 5 * DAY_US
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


def made(seed: int, count: int) -> list[Event]:
    """Return `count` events, the same for a seed; some are corrections, some have no price, some are in euro."""
    chance = random.Random(seed)
    events: list[Event] = []
    for number in range(count):
        at_us = chance.choice(CENTRES_US) + chance.randrange(-3 * DAY_US, 3 * DAY_US)
        if chance.random() < 0.3:
            at_us -= at_us % chance.choice([900_000_000, 3_600_000_000])  # on the edge of a roll-up
        status = chance.choice([EventStatus.PRICED] * 9 + [EventStatus.UNPRICED])
        cost = chance.randrange(10**12) if status is EventStatus.PRICED else 0
        tokens = {"input_tokens": chance.randrange(1000), "output_tokens": chance.randrange(1000)}
        currency = chance.choice(["USD"] * 9 + ["EUR"])
        source = chance.choice(["gateway", "files", "team:red"])
        one = Event(
            source, f"e{seed}-{number}", series(chance), at_us, at_us, at_us, status, Completeness.FINAL, tokens,
            currency, cost, 0, (("input_tokens", tokens["input_tokens"], "pr_1", cost),) if cost else (),
            body_hash=b"body",
        )  # fmt: skip
        events.append(one)
        if chance.random() < 0.1:
            correction = one._replace(event_id=f"{one.event_id}.c1", quantities={}, corrects=one.event_id)
            less = -(cost // 2)
            lines = (("input_tokens", 0, "pr_2", less),) if less else ()
            was_unpriced = status is not EventStatus.PRICED
            events.append(
                correction._replace(status=EventStatus.PRICED, cost_picos=less, lines=lines, was_unpriced=was_unpriced)
            )
    return events


def record(database: Database, events: Iterable[Event]) -> None:
    """Post events, a few hundred in a transaction."""
    left = list(events)
    books = Bookkeeper(database, lambda: UNTIL_US, Sellers())
    books.refresh()
    while left:
        books.transact([Record(event) for event in left[:300]])
        del left[:300]
    books.close()
