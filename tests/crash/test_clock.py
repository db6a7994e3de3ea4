"""A real gateway over the days on which clocks change, and with a clock that is set back and ahead.

The clock is the one of `tests/crash/gateway.py`, which a file sets. No window opens early, none closes late, and what
is spent stays spent.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from tests.conftest import STORES, MakeDatabase, with_prices
from tests.crash.house import PATIENCE_S, House

from pertoken.core.periods import US_PER_SECOND
from pertoken.services import budgets
from pertoken.services.verify import verify
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive

BODY = {"model": "gpt-4o-mini", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}


class Moment(NamedTuple):
    """A time of day in a zone, and whether a call is served then; `fold` is 1 for the second of two equal times."""

    at: str
    served: bool
    fold: int = 0

    def us(self, zone: str) -> int:
        """Return the instant."""
        return int(datetime.fromisoformat(self.at).replace(tzinfo=ZoneInfo(zone), fold=self.fold).timestamp()) * 10**6


DAYS = {
    # the day of 25 hours: it is one day, and ends at midnight
    "Europe/Berlin": [
        Moment("2026-10-24T23:59:50", True),
        Moment("2026-10-25T00:00:10", True),
        Moment("2026-10-25T02:30:00", False),
        Moment("2026-10-25T02:30:00", False, fold=1),
        Moment("2026-10-25T23:59:50", False),
        Moment("2026-10-26T00:00:10", True),
        Moment("2026-10-25T23:59:50", False),  # set back
        Moment("2027-10-26T00:00:10", True),  # a year ahead
        Moment("2026-10-26T00:00:20", False),  # and back
        Moment("2027-10-26T00:00:20", False),
        Moment("2027-03-28T01:59:50", True),  # the day of 23 hours
        Moment("2027-03-28T03:00:10", False),
        Moment("2027-03-28T23:59:50", False),
        Moment("2027-03-29T00:00:10", True),
    ],
    "America/New_York": [
        Moment("2026-10-31T23:59:50", True),
        Moment("2026-11-01T00:00:10", True),
        Moment("2026-11-01T01:30:00", False),
        Moment("2026-11-01T01:30:00", False, fold=1),
        Moment("2026-11-01T23:59:50", False),
        Moment("2026-11-02T00:00:10", True),
        Moment("2026-11-01T23:10:00", False),
    ],
}
MONTHS = {
    "Europe/Berlin": [
        Moment("2026-10-01T00:00:10", True),
        Moment("2026-10-25T02:30:00", False, fold=1),
        Moment("2026-10-31T23:59:50", False),
        Moment("2026-11-01T00:00:10", True),
        Moment("2026-10-31T23:59:50", False),
        Moment("2027-11-01T00:00:10", True),
        Moment("2026-11-30T23:59:50", False),
    ],
    "America/New_York": [
        Moment("2026-10-31T23:59:50", True),
        Moment("2026-11-01T00:00:10", True),
        Moment("2026-11-30T23:59:50", False),
        Moment("2026-12-01T00:00:10", True),
    ],
}


@pytest.fixture(params=STORES)
def house(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path, simulator_url: str
) -> Iterator[House]:
    """Return a gateway of its own on each kind of database."""
    made = House(
        make_database(request.param, tmp_path, with_prices), tmp_path, simulator_url, PERTOKEN_LIMITS__HOLD_S="120"
    )
    with made.prepared() as prepared:
        yield prepared


def set_clock(house: House, at_us: int) -> None:
    """Set the gateway's clock."""
    ahead_us = at_us - time.time_ns() // 1_000
    house.pass_time((ahead_us - house._ahead_us) / US_PER_SECOND)


def call(house: House, secret: str) -> tuple[int, str]:
    """Make a call; return its status, and why it was refused."""
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json", "x-sim-output-tokens": "16"}
    request = urllib.request.Request(f"{house.url}/v1/chat/completions", json.dumps(BODY).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("x-pertoken-refused", "")


def wait_for_settled(house: House) -> None:
    """Wait until nothing is held."""
    deadline = time.monotonic() + PATIENCE_S
    while house.open_holds():
        assert time.monotonic() < deadline, "a hold does not end"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("window", "zone", "moments"),
    [(window, zone, told) for window, zones in (("day", DAYS), ("month", MONTHS)) for zone, told in zones.items()],
)
def test_a_window_is_as_long_as_the_calendar_says(house: House, window: str, zone: str, moments: list[Moment]) -> None:
    """One call a window: it is served when its window has begun, never twice in it, in whatever order times come."""
    key_id, secret = house.new_key("one")
    early = type("Early", (type(house.clock),), {"now_us": lambda _: Moment("2026-09-01T00:00:00", True).us("UTC")})()
    wish = budgets.Wish("one", "1", axis="requests", window=window, zone=zone, scope={"key": key_id})
    with house.open() as database, database.write() as connection:
        budgets.set_budget(Administration(connection), early, wish)
    set_clock(house, moments[0].us(zone))
    assert house.start(), house.said()

    told = []
    for moment in moments:
        set_clock(house, moment.us(zone))
        status, why = call(house, secret)
        wait_for_settled(house)
        assert (status, why) in ((200, ""), (429, "rate_limited")), (moment, status, why)
        told.append(moment._replace(served=status == 200))
    assert told == moments

    latest_us = max(moment.us(zone) for moment in moments)
    with house.read() as connection:
        assert verify(Archive(connection), latest_us).differences == []
    assert "Traceback" not in house.said()


@pytest.mark.parametrize("jump_s", [-3_600, 366 * 86_400], ids=["an hour back", "a year ahead"])
def test_a_call_that_runs_while_the_clock_jumps(house: House, jump_s: int) -> None:
    """It is settled once, at the price of its beginning, its hold ends, and its budget has what it cost."""
    key_id, secret = house.new_key("one")
    house.set_budget("one", "1", key_id)
    assert house.start(), house.said()
    assert call(house, secret) == (200, "")
    house.pass_time(jump_s)
    assert call(house, secret) == (200, "")
    house.pass_time(-jump_s)
    assert call(house, secret) == (200, "")
    wait_for_settled(house)

    assert len(house.facts()[""]) == 3
    assert len({event.cost_picos for event in house.facts()[""]}) == 1
    assert house.differences() == []
