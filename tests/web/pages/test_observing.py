"""Overview, Explore and Providers show what a report of usage says, to each role what it may see."""

import csv
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from tests.conftest import STORES, MakeDatabase, with_prices
from tests.store import history
from tests.web.conftest import ROOT_KEY, SECRET_KEY, Browser

from pertoken import settings
from pertoken.core.access import Role, View
from pertoken.core.events import Event, OfCall, is_correction
from pertoken.core.money import parse_amount
from pertoken.core.periods import format_time
from pertoken.core.provider_errors import ErrorKind
from pertoken.core.reporting import HOUR_US
from pertoken.services.narrow import NarrowArchive
from pertoken.services.reports import usage
from pertoken.store import summing
from pertoken.store.archive import Archive
from pertoken.store.database import Database
from pertoken.wiring.clock import SystemClock
from pertoken.wiring.database import open_database
from pertoken.wiring.pages import make_site

NOW_US = history.UNTIL_US - 2 * history.DAY_US + 12_345_678_901
HOSTILE = '</script><script>alert(1)</script>"'


class Still:
    """A clock that stands still."""

    def now_us(self) -> int:
        """Return the time."""
        return NOW_US

    def random_bits(self, bits: int) -> int:
        """Return chance."""
        return int(SystemClock().random_bits(bits))


def events() -> list[Event]:
    """Return a history, with some calls of today, and a model of a hostile name."""
    made = history.made(3, 500)
    own = next(one for one in made if not is_correction(one) and one.source == "gateway" and one.currency == "USD")
    today = [
        own._replace(
            event_id=f"today-{number}", occurred_at_us=NOW_US - number * 60_000_000,
            attribution=own.attribution._replace(model=HOSTILE, team="red", customer="acme"),
        )
        for number in range(5)
    ]  # fmt: skip
    return [*made, *today]


@pytest.fixture(scope="module", params=STORES)
def browser(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """Return a browser of the operator, on a database with a history."""
    url = make_database(request.param, tmp_path_factory.mktemp("observing"), with_prices)
    loaded = settings.load(
        {"PERTOKEN_DATABASE_URL": url, "PERTOKEN_ADMIN_KEY": ROOT_KEY, "PERTOKEN_SECRET_KEY": SECRET_KEY}
    )
    with open_database(loaded) as installation:
        history.record(installation.database, events())
        site = make_site(installation)._replace(clock=Still())
        yield Browser(site, installation.database).sign_in()


def charts(page: str) -> dict[str, Any]:
    """Return what the charts of a page draw, by their ids."""
    found = re.findall(r'<script type="application/json" id="chart-(\w+)">(.*?)</script>', page, re.DOTALL)
    return {name: json.loads(data) for name, data in found}


def drawn(chart: dict[str, Any]) -> Decimal:
    """Return the sum of all that a chart draws, exactly."""
    return sum((Decimal(value) for one in chart["series"] if not one["dashed"] for value in one["values"]), Decimal(0))


def said(database: Database, since_us: int, until_us: int, zone: str, view: View = View()) -> list[dict[str, Any]]:  # noqa: B008
    """Return the totals that a report has of a range."""
    with database.read() as connection:
        totals: list[dict[str, Any]] = usage(NarrowArchive(Archive(connection), view), since_us, until_us, (), zone)[
            "totals"
        ]
    return totals


RANGES = [
    ("2026-10-28", "2026-11-03", "America/New_York"),
    ("2026-03-27", "2026-04-05", "Australia/Lord_Howe"),
    ("2025-10-20", "2025-11-01", "Asia/Kathmandu"),
    ("2025-10-26T00:07:30Z", "2026-11-02T13:01:00Z", "Europe/Berlin"),
]


@pytest.mark.parametrize("by", ["by=model&then=customer", "by=tag:env&step=week", "by=", "by=key&top=5&chart=lines"])
@pytest.mark.parametrize(("since", "until", "zone"), RANGES)
@pytest.mark.parametrize("metric", ["cost", "calls", "output"])
def test_explore_shows_what_usage_says(
    browser: Browser, metric: str, since: str, until: str, zone: str, by: str
) -> None:  # fmt: skip
    """What the chart draws, what the table has, and its total are the report's."""
    address = f"/explore?metric={metric}&{by}&since={since}&until={until}&tz={zone}".replace("+", "%2B")
    page = browser.get(address)
    report = read_api(browser, page.text)
    totals = report["totals"]
    if metric == "cost":
        currency = max(totals, key=lambda one: (one["calls"], one["currency"]), default={"currency": "USD"})["currency"]
        expected = sum((Decimal(one["cost"]) for one in totals if one["currency"] == currency), Decimal(0))
    else:
        expected = Decimal(sum(one[{"calls": "calls", "output": "output_tokens"}[metric]] for one in totals))
    rows = browser.get(f"{address}&format=json").json()["rows"]

    assert page.status_code == 200
    assert drawn(charts(page.text)["explored"]) == expected
    assert sum((Decimal(row["figure"]) for row in rows), Decimal(0)) == expected
    assert sum(row["figure" if metric == "calls" else "calls"] for row in rows) == sum(
        one["calls"] for one in totals if metric != "cost" or one["currency"] == currency
    )


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("metric", ["cost", "calls"])
def test_explore_exports_its_chart(browser: Browser, metric: str, form: str) -> None:
    """The export of the chart has each point that is drawn, exactly, with the step that it belongs to."""
    address = f"/explore?metric={metric}&by=model&range=30d"
    shown = drawn(charts(browser.get(address).text)["explored"])
    text = browser.get(f"{address}&format={form}&of=chart").text
    rows = json.loads(text)["rows"] if form == "json" else list(csv.DictReader(io.StringIO(text)))

    assert sum((Decimal(row["figure"]) for row in rows), Decimal(0)) == shown != 0
    assert len({row["start"] for row in rows}) == 30
    assert set(rows[0]) == {"start", "series", "figure"} | ({"currency"} if metric == "cost" else set())


def read_api(browser: Browser, page: str) -> Any:
    """Return what the report says that the page copies as curl: its range and zone are read from there."""
    path = unescape(re.search(r'data-copies-curl="([^"]*)"', page)[1])  # type: ignore[index]
    query = dict(re.findall(r"[?&](\w+)=([^&]*)", path))
    times = [history.parse_time(query[name].replace("%3A", ":")) for name in ("since", "until")]
    with browser.database.read() as connection:
        return usage(Archive(connection), *times, (), query["timezone"].replace("%2F", "/"))


@pytest.mark.parametrize("asked", ["range=month", "range=7d&tz=Pacific/Auckland", "range=today", "since=2026-10-20"])
def test_the_overview_shows_what_usage_says(browser: Browser, asked: str) -> None:
    """The chart and the key figures of the overview are the report's."""
    page = browser.get(f"/?{asked}")
    explored = browser.get(f"/explore?{asked}").text
    report = read_api(browser, explored)
    dollars = next(one for one in report["totals"] if one["currency"] == "USD")

    assert page.status_code == 200
    assert drawn(charts(page.text)["spend"]) == Decimal(dollars["cost"])
    calls = sum(one["calls"] for one in report["totals"])
    assert re.search(rf'<h2>Calls, [^<]*</h2>\s*<p class="value"><a [^>]*title="{calls:,}"', page.text)


def test_today_and_this_month_are_what_usage_says(browser: Browser) -> None:
    """What was spent today and this month, to the last digit in the tip."""
    page = browser.get("/").text
    for label, since in (("today", "2026-11-04"), ("in November", "2026-11-01")):
        since_us = history.parse_time(since)
        totals = said(browser.database, since_us, NOW_US + history.DAY_US, "UTC")
        cost = next(one["cost"] for one in totals if one["currency"] == "USD")

        assert re.search(rf'<h2>Spent {label}, USD</h2>\s*<p class="value"><span [^>]*title="{cost} USD"', page), label
    assert format_time(NOW_US).startswith("2026-11-04")


def test_providers_shows_what_usage_says(browser: Browser) -> None:
    """Calls and failures of the providers are the report's, in the charts and in the table."""
    page = browser.get("/providers?range=90d").text
    rows = browser.get("/providers?range=90d&format=json").json()["rows"]
    report = read_api(browser, browser.get("/explore?range=90d").text)
    calls, failed = (sum(one[name] for one in report["totals"]) for name in ("calls", "failed_calls"))

    assert failed > 0
    assert (drawn(charts(page)["calls"]), drawn(charts(page)["failed"])) == (calls, failed)
    assert (sum(row["calls"] for row in rows), sum(row["failed"] for row in rows)) == (calls, failed)


def test_providers_shows_errors_by_kind(browser: Browser) -> None:
    """The attempts that broke off are as many as the events that say so, also where an event failed today."""
    page = browser.get("/providers?range=90d").text
    since_us = NOW_US - 90 * history.DAY_US
    broke_off = [
        one for one in events()
        if isinstance(one.of, OfCall) and one.of.error is ErrorKind.BROKE_OFF and one.occurred_at_us > since_us
    ]  # fmt: skip
    [shown] = re.findall(r"broke off, or could not be read</td><td[^>]*><span[^>]*>([\d,]+)", page)

    assert int(shown.replace(",", "")) == len(broke_off) > 0
    assert "rate limited" not in page


def test_a_customer_sees_calls_and_no_cost(browser: Browser) -> None:
    """A customer sees its own calls and what they are sold at, and nowhere what they cost us."""
    signed = browser.as_role(Role.CUSTOMER, "acme")
    since, until = "2026-10-28", "2026-11-06"
    span = history.parse_time(since), history.parse_time("2026-11-07")
    [dollars] = [one for one in said(browser.database, *span, "UTC", View(customer="acme")) if one["currency"] == "USD"]
    page = signed.get(f"/explore?metric=calls&since={since}&until={until}")
    everything = page.text + signed.get("/").text

    assert drawn(charts(page.text)["explored"]) == sum(
        one["calls"] for one in said(browser.database, *span, "UTC", View(customer="acme"))
    )
    assert signed.get("/explore?metric=cost").status_code == 404
    assert "metric=cost" not in everything
    assert parse_amount(dollars["cost"]) > 0
    assert dollars["cost"] not in everything
    assert signed.get("/providers").status_code == 403


def test_a_team_owner_sees_its_own(browser: Browser) -> None:
    """What a team's owner sees on every page is of the team alone."""
    signed = browser.as_role(Role.TEAM_OWNER, "red")
    page = signed.get("/explore?metric=calls&range=90d&by=team").text
    rows = signed.get("/explore?metric=calls&range=90d&by=team&format=json").json()["rows"]
    whole = browser.get("/explore?metric=calls&range=90d&by=team").text

    assert [row["team"] for row in rows] == ["red"]
    assert 0 < drawn(charts(page)["explored"]) < drawn(charts(whole)["explored"])
    assert signed.get("/").status_code == signed.get("/providers").status_code == 200


@pytest.mark.parametrize("path", ["/?range=today", "/explore?range=today&by=model", "/providers?range=today"])
def test_names_are_shown_as_text(browser: Browser, path: str) -> None:
    """A model that is named like a script is shown as text, also in the data of charts; nothing has a style."""
    page = browser.get(path).text

    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert charts(page)
    assert " style=" not in page
    assert set(re.findall(r"<script(?![^>]* src=)([^>]*)>", page)) <= {
        f' type="application/json" id="chart-{name}"' for name in charts(page)
    }


BAD = {
    "metric=weight": 404,
    "by=colour": 404,
    "by=tag:": 404,
    "step=second": 404,
    "top=7": 404,
    "top=x": 404,
    "chart=pie": 404,
    "tz=Mars": 400,
    "since=2026-11-02&until=2026-11-01": 400,
    "customer=nobody": 200,
    "currency=XXX": 200,
    "by=model&then=model": 200,
    "metric=refused&by=model&customer=acme": 200,
    "step=hour&range=90d": 200,
    "tag=env%3Dprod": 200,
    "tag=nonsense": 200,
    "since=2040-01-01": 400,
    "since=2030-01-01&until=2031-01-01": 200,
    "since=9000-01-01&until=9998-12-31&compare=1": 200,
    "conversation=talk-1&tag:env=prod": 200,
    "from=999999": 200,
}


@pytest.mark.parametrize("query", BAD)
def test_bad_input_is_a_clear_page(browser: Browser, query: str) -> None:
    """Whatever an address asks for, there is a page that shows it, or says why not."""
    answer = browser.get(f"/explore?{query}")

    assert answer.status_code == BAD[query], answer.text
    assert "made a mistake" not in answer.text


def test_a_filter_by_tag_is_the_report_of_the_tag(browser: Browser) -> None:
    """A tag typed into the form filters as the tag's own parameter does, also where a range cuts a quarter."""
    address = "/explore?metric=calls&since=2025-10-26T00:07:30Z&until=2026-11-02"
    typed, named = (browser.get(f"{address}&{one}").text for one in ("tag=env%3Dprod", "tag:env=prod"))
    rows = browser.get(f"{address}&by=tag:env&format=json").json()["rows"]

    assert drawn(charts(typed)["explored"]) == drawn(charts(named)["explored"])
    assert drawn(charts(named)["explored"]) == next(row["figure"] for row in rows if row["tag:env"] == "prod")


def test_prices_are_read_again_when_they_changed(browser: Browser) -> None:
    """The price book is the same one until something in the directory changes."""
    prices = browser.site.prices
    book = prices()

    assert prices() is book
    browser.send("/keys", "make", name="another key")
    assert prices() is not book


ALL_TIMES = "since=1971-01-01&until=9998-12-31"


@pytest.mark.parametrize("path", ["/explore?step=day&", "/explore?step=hour&compare=1&", "/?", "/providers?"])
def test_a_range_of_all_times_is_shown_in_longer_steps(browser: Browser, path: str) -> None:
    """A chart of all times is one of months up to a year from now, and no more than 2,000 steps; nothing is lost."""
    page = browser.get(f"{path}{ALL_TIMES}")
    lengths = {len(one["values"]) for chart in charts(page.text).values() for one in chart["series"]}

    assert page.status_code == 200
    assert lengths
    assert max(lengths) <= 2_000
    if path.startswith("/explore"):
        assert "At most 2,000 steps are shown; these are months." in page.text
        totals = read_api(browser, page.text)["totals"]
        currency = max(totals, key=lambda one: (one["calls"], one["currency"]))["currency"]
        assert drawn(charts(page.text)["explored"]) == sum(
            Decimal(one["cost"]) for one in totals if one["currency"] == currency
        )


ODD_ZONES = ("Europe/Berlin", "Asia/Kolkata", "Pacific/Chatham", "Australia/Lord_Howe", "America/St_Johns")


def test_pages_say_the_same_once_days_are_summed(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures from coarse sums are those from roll-ups, in zones of odd offsets and over changes of the clocks."""
    span = "since=2025-10-20&until=2026-11-25"
    paths = [
        *(f"/explore?{span}&by={by}&tz={zone}&format=json&of=chart" for by in ("model", "key") for zone in ODD_ZONES),
        *(f"/explore?{span}&metric=calls&by=tag:env&tz={zone}&format=json" for zone in ODD_ZONES),
        *(f"/{page}?{span}&tz={zone}&format=json" for page in ("providers", "customers") for zone in ODD_ZONES),
    ]

    def figures() -> list[Any]:
        of_pages = [browser.get(path).json()["rows"] for path in paths]
        return [*of_pages, *(charts(browser.get(f"/?range=90d&tz={zone}").text) for zone in ODD_ZONES)]

    before = figures()
    monkeypatch.setattr(summing, "SPARED", 0)
    monkeypatch.setattr(summing, "APART_US", (HOUR_US,))
    while summing.sum_newest(browser.database, history.UNTIL_US):
        pass

    assert figures() == before
    assert all(before)
    assert browser.differences() == []
