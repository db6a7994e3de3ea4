"""The pages of budgets: what they show, to whom, and what their forms do."""

from html import escape, unescape
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from tests.factories import CENT
from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import NAMES, fresh

from pertoken.core.access import Role
from pertoken.core.reporting import HOUR_US
from pertoken.store.archive import Archive
from pertoken.store.refusals import refused_counts

INSIDE = set(Role) - {Role.CUSTOMER}
WRITERS = {Role.ADMIN, Role.FINANCE, Role.TEAM_OWNER}
TERMS = {
    "limit": "5",
    "axis": "money",
    "window": "day",
    "mode": "hard",
    "timezone": "UTC",
    "currency": "USD",
    "before_refusal": "cap",
    "warn_percent": "",
}


def budgets(browser: Browser):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Return the budgets in force by name."""
    with browser.database.read() as connection:
        return {one.name: one for one in Archive(connection).budgets()}


def version(page: str) -> str:
    """Return the version that a form carries."""
    return page.split('name="version" value="')[1].split('"', maxsplit=1)[0]


@pytest.mark.parametrize("role", Role)
def test_budgets_are_shown_to_who_may_read_them(browser: Browser, role: Role) -> None:
    """The list and one budget are for the roles inside; a team owner sees those of its own team alone."""
    name, other = fresh("mine"), fresh("others")
    made.a_budget(browser, name, scope={"team": "t1"})
    made.a_budget(browser, other, scope={"team": "t2"})
    signed = browser.as_role(role)
    listed, one, foreign = (
        signed.get(path) for path in (f"/budgets?q={name[-12:]}", f"/budgets/{name}", f"/budgets/{other}")
    )

    if role not in INSIDE:
        assert {answer.status_code for answer in (listed, one, foreign)} == {403}
        return
    assert name in listed.text
    assert one.status_code == 200
    assert foreign.status_code == (404 if role is Role.TEAM_OWNER else 200)
    assert ("Remove budget" in one.text) == (role in WRITERS - {Role.TEAM_OWNER})  # an admin has set it


@pytest.mark.parametrize("role", Role)
def test_a_role_sets_a_budget_or_is_refused(browser: Browser, role: Role) -> None:
    """The roles that may write set a budget, a team owner for its own team; the others get neither form nor deed."""
    name, signed = fresh("set"), browser.as_role(role)
    if role not in WRITERS:
        assert signed.get("/budgets/new").status_code == 403
        assert signed.post("/budgets/new", {"deed": "make"}).status_code == 403
        return
    answer = made.fill(signed, "/budgets/new", "make", name=name, **TERMS)
    refused = made.fill(signed, "/budgets/new", "make", name=fresh("set"), scope_team="t2", **TERMS)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/budgets/{name}")
    assert budgets(browser)[name].team == ("t1" if role is Role.TEAM_OWNER else None)
    assert refused.status_code == (422 if role is Role.TEAM_OWNER else 303)


def test_the_preview_says_what_would_have_been_refused(browser: Browser) -> None:
    """The form says how many calls of recorded usage would have been refused, and sets nothing by saying so."""
    team, name, signed = fresh("team"), fresh("preview"), browser.sign_in()
    made.used(browser, calls=7, team=team, key="key_a")
    query = "&".join(f"{field}={value}" for field, value in {**TERMS, "limit": "0.03", "scope_team": team}.items())

    page = signed.get(f"/budgets/new?name={name}&{query}")

    assert "About 4 of 7 calls that it counts in the last 30 days would have been refused: 1 key on 1 day" in page.text
    assert "summed by hour" in page.text
    assert name not in budgets(browser)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("limit", "-1", "not a limit"),
        ("limit", "lots", "not a limit"),
        ("limit", "", ""),
        ("axis", "gold", ""),
        ("window", "year", ""),
        ("timezone", "Mars/Olympus", "unknown time zone"),
        ("currency", "XXQ", ""),
        ("warn_percent", "200", ""),
        ("warn_percent", "many", ""),
        ("before_refusal", "beg", ""),
        ("scope_tag", "novalue", "is not a tag"),
        ("scope_key", "there-is-none", "no key"),
        ("name", "", "name"),
        ("name", "bad\nname", ""),
        ("each", "colour", ""),
    ],
)
def test_what_cannot_be_a_budget_is_refused_beside_the_form(
    browser: Browser, field: str, value: str, said: str
) -> None:
    """A form that is wrong keeps what was typed, says what is wrong, and sets nothing."""
    name, signed = fresh("wrong"), browser.sign_in()
    form = {"name": name, **TERMS, field: value}
    before = set(budgets(browser))

    answer = made.fill(signed, "/budgets/new", "make", **form)

    assert answer.status_code == 422
    assert said in answer.text
    assert 'role="alert"' in answer.text
    assert set(budgets(browser)) == before


def test_two_people_who_edit_one_budget_are_told_of_each_other(browser: Browser) -> None:
    """A change on a newer state is refused and shows both; sent again from there it is taken."""
    name, signed = fresh("two"), browser.sign_in()
    made.a_budget(browser, name, "10", warn_percent=70)
    mine = version(signed.get(f"/budgets/{name}").text)
    made.a_budget(browser, name, "20", warn_percent=70)  # somebody else

    terms = {**TERMS, "window": "month", "warn_percent": "70", "before_refusal": "cap, queue"}
    refused = made.fill(signed, f"/budgets/{name}", "change", version=mine, **{**terms, "limit": "30"})
    again = made.fill(signed, f"/budgets/{name}", "change", version=version(refused.text), **{**terms, "limit": "30"})

    assert refused.status_code == 422
    assert "<td>limit</td><td>20</td><td>30</td>" in refused.text
    assert "<td>window</td>" not in refused.text  # only what differs is shown
    assert again.status_code == 303
    assert budgets(browser)[name].limit == 30 * 10**12


def test_a_change_changes_only_what_is_meant(browser: Browser) -> None:
    """The form holds every field of the budget, so that sending it changes nothing but what was typed."""
    name, signed = fresh("whole"), browser.sign_in()
    before = made.a_budget(
        browser,
        name,
        "10.5",
        window="week",
        scope={"model": "gpt-4o", "tag:env": "prod", "team": "t9"},
        each="customer",
        mode="soft",
        zone="Europe/Berlin",
        steps="queue,cap",
        warn_percent=80,
    )
    page = signed.get(
        f"/budgets/{name}?limit=11&axis=money&window=week&mode=soft&timezone=Europe/Berlin&currency=USD"
        "&warn_percent=80&before_refusal=queue,+cap"
    ).text
    form = page.split("<form")[-2]  # the one that changes
    names = ("version", *TERMS)
    fields = {one: unescape(form.split(f'name="{one}" value="')[1].split('"')[0]) for one in names}

    assert made.fill(signed, f"/budgets/{name}", "change", **fields).status_code == 303
    assert budgets(browser)[name] == before._replace(limit=11 * 10**12)


def test_removing_asks_for_the_name(browser: Browser) -> None:
    """A budget is removed where its name was typed, and stays where another was."""
    name, signed = fresh("gone"), browser.sign_in()
    made.a_budget(browser, name)

    wrong = made.fill(signed, f"/budgets/{name}", "remove", typed_name="another")
    assert (wrong.status_code, name in budgets(browser)) == (422, True)
    right = made.fill(signed, f"/budgets/{name}", "remove", typed_name=name)
    assert (right.status_code, name in budgets(browser)) == (303, False)
    assert signed.get(f"/budgets/{name}").status_code == 404


def test_a_team_owner_does_not_change_what_an_admin_set(browser: Browser) -> None:
    """A budget of the team that an admin has set has no form for its owner, and the deed is refused."""
    name, signed = fresh("admins"), browser.as_role(Role.TEAM_OWNER)
    made.a_budget(browser, name, scope={"team": "t1"})
    page = signed.get(f"/budgets/{name}").text

    form = {"csrf": page.split('name="csrf" value="')[1].split('"')[0], "once": fresh("once")}
    refused = signed.post(f"/budgets/{name}", {**form, "deed": "remove", "typed_name": name})
    assert (refused.status_code, name in budgets(browser)) == (422, True)


def test_one_budget_shows_its_windows_values_and_holds(browser: Browser) -> None:
    """One budget says what is spent and held now, by each value, and which calls hold it."""
    name, team, signed = fresh("each"), fresh("team"), browser.sign_in()
    made.a_budget(browser, name, "1", scope={"team": team}, each="customer", window="month")
    made.used(browser, calls=3, team=team, customer="<b>acme</b>", picos=10 * CENT)
    call = made.held(browser, 5 * CENT, team=team, customer="globex")

    page = signed.get(f"/budgets/{name}").text
    rows = signed.get(f"/budgets/{name}?format=json").json()["rows"]

    assert rows == [
        {"value": "<b>acme</b>", "used": 0.3, "spent": "0.3", "held": "0", "left": "0.7"},
        {"value": "globex", "used": 0.05, "spent": "0", "held": "0.05", "left": "0.95"},
    ]
    assert "&lt;b&gt;acme" in page
    assert "<b>acme" not in page
    assert f"/calls/{call}" in page


@pytest.mark.parametrize("name", NAMES)
def test_a_name_breaks_no_page(browser: Browser, name: str) -> None:
    """Whatever a budget is called, it is listed, opened and removed, and its name is shown as text."""
    signed = browser.sign_in()
    made.a_budget(browser, name, scope={"customer": name}, each="model")
    path = f"/budgets/{quote(name, safe='')}"

    listed, one = signed.get("/budgets"), signed.get(path)

    assert f'href="{path}' in listed.text.replace("&#39;", "'")
    assert one.status_code == 200
    for page in (listed.text, one.text):
        assert "<script>alert" not in page
    assert escape(name[:20], quote=False)[:12] in one.text.replace("&#34;", '"').replace("&#39;", "'")
    assert made.fill(signed, path, "remove", typed_name=name).status_code == 303


def test_a_name_that_several_have_is_opened_by_its_id(browser: Browser) -> None:
    """Where two teams have a budget of one name, the list leads to each by its id."""
    name, signed = fresh("same"), browser.sign_in()
    first, second = (made.a_budget(browser, name, scope={"team": team}) for team in ("t1", "t2"))

    page = signed.get("/budgets").text

    assert f"/budgets/{first.budget_id}" in page
    assert f"/budgets/{second.budget_id}" in page
    assert signed.get(f"/budgets/{first.budget_id}").status_code == 200
    assert signed.get(f"/budgets/{name}").status_code == 404


def test_five_hundred_budgets_are_shown_page_by_page(browser: Browser) -> None:
    """A page shows at most two hundred budgets, and every one is on some page."""
    signed, mark = browser.sign_in(), fresh("many")
    for at in range(450):
        made.a_budget(browser, f"{mark}-{at:03}", scope={"customer": f"c{at}"})
    seen: list[str] = []
    for start in ("", "&from=200", "&from=400"):
        page = signed.get(f"/budgets?q={mark}{start}").text
        seen += [one for one in (f"{mark}-{at:03}" for at in range(450)) if f'title="{one}"' in page]

    assert sorted(seen) == [f"{mark}-{at:03}" for at in range(450)]


def test_a_hidden_budget_that_refused_is_not_named(browser: Browser) -> None:
    """A team owner sees how many of its calls a budget refused that is not its team's, but no name and no link."""
    team, hidden, own = fresh("team"), fresh("hidden"), fresh("own")
    made.a_budget(browser, hidden)
    made.a_budget(browser, own, scope={"team": team})
    key = made.a_key(browser, fresh("key"), team=team)
    hour_us = browser.site.clock.now_us() // HOUR_US * HOUR_US
    rows = [
        {"hour_us": hour_us, "code": "budget_exceeded", "budget": name, "key_id": key.key_id, "calls": calls}
        for name, calls in ((hidden, 41), (own, 7))
    ]
    with browser.database.write() as connection:
        connection.execute(sa.insert(refused_counts), rows)
    address = "/explore?metric=refused&by=budget&range=7d"

    owner, admin = browser.as_role(Role.TEAM_OWNER, team), browser.as_role(Role.ADMIN)
    for path in ("/", address, f"{address}&format=json"):
        assert hidden not in owner.get(path).text
        assert own in owner.get(path).text
    page = owner.get("/").text
    assert "did not fit another budget" in page
    assert "41 calls refused" in page
    assert "/budgets/another" not in page
    rows = owner.get(f"{address}&format=json").json()["rows"]
    assert sorted((row["budget"], row["figure"]) for row in rows) == [("another budget", 41), (own, 7)]
    assert hidden in admin.get(f"{address}&format=json").text
