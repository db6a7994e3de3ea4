"""Sixty days of made-up usage for `pertoken demo --keep`. The same seed and time give the same events.

This module uses no clock and no database. `pertoken ingest` imports the events like any others.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple, TypeVar

DAYS = 60
CALLS = 30_000
OUTAGE_HOURS = range(9, 13)  # of UTC
SPIKE_HOURS = range(13, 17)
SPIKE = 30  # times the usual calls of an hour
FELL_BACK = 0.6  # the share of the failing provider's calls that fail

T = TypeVar("T")
DemoModel = tuple[str, str]  # provider and name
OPENAI = "openai"
FAILING = "anthropic"
SONNET, HAIKU = (FAILING, "claude-sonnet-5"), (FAILING, "claude-haiku-4-5")
FLASH, PRO = ("google", "gemini-2.5-flash"), ("google", "gemini-2.5-pro")
GPT, MINI, OMNI = (OPENAI, "gpt-4.1"), (OPENAI, "gpt-5-mini"), (OPENAI, "gpt-4o-mini")
UNPRICED = ("in-house", "reranker-2")  # a model without a price

OFFICE = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 20, 19, 15, 17, 20, 19, 17, 13, 8, 5, 4, 3, 2, 1)  # calls by hour of UTC
EVENING = (6, 4, 3, 2, 2, 2, 3, 5, 7, 8, 9, 9, 10, 10, 10, 10, 11, 13, 16, 19, 20, 18, 14, 9)
NIGHT = (0, 18, 20, 12, 4) + (0,) * 19
WEEKEND: dict[tuple[int, ...], float] = {OFFICE: 0.25, EVENING: 1.2, NIGHT: 1.0}


class App(NamedTuple):
    """One application: its number of calls, its models and its customers."""

    key: str  # its name
    team: str
    share: float  # of all calls, while all apps run
    rhythm: tuple[int, ...]
    models: Mapping[DemoModel, int]  # with their weights
    customers: Mapping[str | None, int]
    users: tuple[str, ...]
    input_tokens: int  # of the middle call
    output_tokens: int
    growth: float = 0.0  # growth from the first day to the last, as a share of the first day
    first_day: int = 0
    talks: int = 0  # conversations that begin in an hour; 0: its calls have no conversation
    batch: bool = False


CUSTOMERS: dict[str | None, int] = {"acme": 9, "globex": 5, "initech": 3, "株式会社さくら": 4, "Łódź Meble": 2}
APPS = (
    App("support-desk", "support", 0.26, OFFICE, {SONNET: 7, HAIKU: 3}, CUSTOMERS, ("ana", "björn", "chidi", "dalia"),
        5_200, 260, growth=0.8, talks=4),
    App("site-search", "growth", 0.34, EVENING, {FLASH: 60, OMNI: 50, UNPRICED: 2}, CUSTOMERS, (), 900, 90, growth=0.5),
    App("translate", "support", 0.12, EVENING, {FLASH: 1}, {"株式会社さくら": 5, "Łódź Meble": 2}, (), 1_400, 1_100,
        growth=1.4, first_day=21),
    App("notebook", "research", 0.10, OFFICE, {GPT: 5, PRO: 3, SONNET: 1}, {None: 1}, ("emre", "fatima", "goro"),
        3_400, 620, talks=2),
    App("nightly-reports", "research", 0.18, NIGHT, {MINI: 1}, {None: 1}, ("scheduler",), 6_500, 700, growth=0.2,
        batch=True),
)  # fmt: skip


class Hour(NamedTuple):
    """One hour of one application."""

    app: App
    starts: datetime
    day: int  # from 0 at the beginning of the history
    is_outage: bool
    is_spike: bool


class Story(NamedTuple):
    """The times of unusual events."""

    starts: datetime
    spike: datetime  # the day on which a notebook calls in a loop
    outage: datetime  # the day on which a provider fails for some hours
    cheaper: datetime  # when an agreed price begins
    caching: int  # the day on which support's prompts begin to be cached


def story(now: datetime) -> Story:
    """Return the times of unusual events in the days before `now`."""
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    day = end.replace(hour=0)
    return Story(
        end - timedelta(days=DAYS),
        _working_day(day - timedelta(days=8)),
        _working_day(day - timedelta(days=17)),
        day - timedelta(days=24),
        20,
    )


def price_change(now: datetime) -> Sequence[str]:
    """Return the arguments of `pertoken` that add the agreed price, a fifth below the list price."""
    begins = f"{story(now).cheaper:%Y-%m-%dT%H:%M:%SZ}"
    provider, model = GPT
    price = ("--input", "1.60", "--cache-read", "0.40", "--output", "6.40")
    return ("price", "add", "--provider", provider, "--model", model, *price, "--from", begins)


def pilot_limit(used: str) -> str:
    """Return the limit of a pilot that has used so much: the next cent, so that hardly anything is left of it."""
    return str(Decimal(used).quantize(Decimal("0.01"), ROUND_CEILING))


def history(now: datetime, seed: int, calls: int, keys: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield this many events of the days before `now`, oldest first; `keys` has the id of each app's key."""
    dice = random.Random(seed)  # noqa: S311 - made-up usage
    told = story(now)
    hours = list(_hours(told))
    weights = [_weight(hour) for hour in hours]
    drawn = dice.choices(hours, weights, k=calls)
    times = [(hour.starts + timedelta(microseconds=dice.randrange(3_600_000_000)), hour) for hour in drawn]
    times.sort(key=lambda pair: (pair[0], pair[1].app.key))
    for number, (at, hour) in enumerate(times, 1):
        yield {"id": f"past-{number:06}", "at": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}", **_call(hour, told, dice, keys)}


def _working_day(day: datetime) -> datetime:
    """Return a day, or the Friday before it."""
    return day - timedelta(days=max(0, day.weekday() - 4))


def _hours(told: Story) -> Iterator[Hour]:
    for number in range(DAYS * 24):
        starts = told.starts + timedelta(hours=number)
        day = starts.replace(hour=0)
        is_outage = day == told.outage and starts.hour in OUTAGE_HOURS
        for app in APPS:
            is_spike = app.key == "notebook" and day == told.spike and starts.hour in SPIKE_HOURS
            if number // 24 >= app.first_day:
                yield Hour(app, starts, number // 24, is_outage, is_spike)


def _weight(hour: Hour) -> float:
    """Return the weight of an hour: how likely a call falls into it."""
    app = hour.app
    weight = app.share * app.rhythm[hour.starts.hour] / sum(app.rhythm)
    weight *= 1 + app.growth * (hour.day - app.first_day) / (DAYS - app.first_day)
    if hour.starts.weekday() >= 5:
        weight *= WEEKEND[app.rhythm]
    if hour.is_outage:
        failing = sum(many for (provider, _), many in app.models.items() if provider == FAILING)
        weight *= 1 - (1 - FELL_BACK) * failing / sum(app.models.values())
    return weight * SPIKE if hour.is_spike else weight


def _call(hour: Hour, told: Story, dice: random.Random, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return one call without its id and time."""
    app = hour.app
    provider, model = GPT if hour.is_spike else _drawn(app.models, dice)
    tags = {"env": "production" if dice.random() < 0.93 else "staging"}
    if hour.is_outage and provider == FAILING:
        (provider, model), tags["fallback"] = GPT, FAILING
    fields: dict[str, Any] = {
        "source": "history", "key": keys[app.key], "team": app.team, "provider": provider, "model": model,
        "tags": tags, "usage": _usage(hour, told, (provider, model), dice),
    }  # fmt: skip
    customer = _drawn(app.customers, dice)
    if customer is not None:
        fields["customer"] = customer
    if app.users:
        fields["user"] = "loop.ipynb" if hour.is_spike else dice.choice(app.users)
    if app.talks:
        fields["conversation"] = f"{app.key}-{hour.starts:%m%d%H}-{dice.randrange(app.talks)}"
    if app.batch:
        fields["batch"] = True
    return fields


def _usage(hour: Hour, told: Story, model: DemoModel, dice: random.Random) -> dict[str, int]:
    """Return the tokens of a call. Support's prompts are similar, so more and more of them are read from the cache."""
    app = hour.app
    usage = {
        "input_tokens": 40 + round(app.input_tokens * dice.lognormvariate(0, 0.6)),
        "output_tokens": 5 + round(app.output_tokens * dice.lognormvariate(0, 0.7)),
    }
    if app.key == "support-desk" and model[0] == FAILING and hour.day >= told.caching:
        share = 0.25 + 0.55 * (hour.day - told.caching) / (DAYS - told.caching)
        part = "cache_read_tokens" if dice.random() < 0.85 else "cache_write_tokens"
        usage[part] = round(usage["input_tokens"] * min(0.95, share * dice.uniform(0.8, 1.2)))
    if model in {MINI, PRO}:
        usage["reasoning_tokens"] = usage["output_tokens"] * dice.randrange(20, 70) // 100
    return usage


def _drawn(weights: Mapping[T, int], dice: random.Random) -> T:
    return dice.choices(list(weights), list(weights.values()))[0]
