"""Two teams on one control plane: no key of one hurts the other, whatever it reports, makes or calls its things."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from tests.api.conftest import Api, event, fresh

from pertoken.core.access import Role
from pertoken.core.periods import DAY_US, US_PER_SECOND, format_time
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services.keys import SeveralKeys, find_key
from pertoken.store.administration import Administration

COST = Decimal("0.00021")  # of an event, and it has 1,100 tokens


@dataclass
class Team:
    """One team, asked with the key of its owner."""

    name: str
    owner: Api

    def report(self, *events: dict[str, Any], **more: Any) -> Any:
        """Report events; return the tally."""
        return self.owner("POST", "/api/v1/events", list(events), **more).json

    def key(self, **fields: Any) -> Any:
        """Make a key."""
        return self.owner("POST", "/api/v1/keys", {"name": fresh("key"), **fields})


@pytest.fixture
def mine(api: Api) -> Team:
    """Return a team."""
    name = fresh("team")
    return Team(name, api.as_role(Role.TEAM_OWNER, name))


@pytest.fixture
def other(api: Api) -> Team:
    """Return another team."""
    name = fresh("team")
    return Team(name, api.as_role(Role.TEAM_OWNER, name))


def now_text() -> str:
    """Return this second."""
    return format_time(time.time_ns() // 1_000 // US_PER_SECOND * US_PER_SECOND)


def allow(api: Api, team: Team, **reports: Any) -> Any:
    """Give a team an allowance."""
    reply = api("PUT", f"/api/v1/teams/{team.name}", {"reports": {"money": "1000", **reports}})
    assert reply.status == 200, reply.raw
    return reply.json["reports"]


def codes(tally: dict[str, Any]) -> list[str]:
    """Return why events were rejected."""
    return [one["code"] for one in tally["rejected"]]


# -- reports ---------------------------------------------------------------------------------------------------------


def test_only_admins_report_usage(api: Api, mine: Team) -> None:
    """A team without an allowance reports nothing, not even of itself; the refusal says who can change that."""
    for body in (event(), [event(), event()]):
        reply = mine.owner("POST", "/api/v1/events", body)
        assert (reply.status, reply.json["code"]) == (403, "forbidden")
        assert f"pertoken admin team {mine.name} --reports" in reply.json["message"]

    assert api("GET", "/api/v1/events", query={"team": mine.name}).json["events"] == []
    assert api("POST", "/api/v1/events", event(team=mine.name)).json["accepted"] == 1


@pytest.mark.parametrize(
    ("limit", "accepted"),
    [({"money": "0.0006"}, 2), ({"money": "0"}, 0), ({"events": 3}, 3), ({"tokens": 2_199}, 1), ({"tokens": 2_200}, 2)],
    ids=str,
)
def test_a_team_reports_as_much_as_its_allowance(api: Api, mine: Team, limit: dict[str, Any], accepted: int) -> None:
    """Of five events those are taken in that fit each limit of the day; the others are refused by name, and again."""
    allow(api, mine, **limit)
    first = mine.report(*[event() for _ in range(5)])

    assert (first["accepted"], codes(first)) == (accepted, ["above_allowance"] * (5 - accepted))
    assert codes(mine.report(event())) == ["above_allowance"]
    assert mine.owner("POST", "/api/v1/events", event()).status == 403
    said = mine.owner("GET", f"/api/v1/teams/{mine.name}").json["reports"]["reported_today"]
    assert said == {
        "money": f"{COST * accepted:f}" if accepted else "0",
        "events": accepted,
        "tokens": 1_100 * accepted,
    }


def test_reports_count_against_every_budget_they_touch(api: Api, mine: Team) -> None:
    """A budget of all counts what a team reports, and no more of it than the allowance: it is not exhausted by it."""
    name, at = fresh("all"), now_text()
    api("PUT", f"/api/v1/budgets/{name}", {"limit": "1000", "window": "total"})
    allow(api, mine, money="0.0005")
    before = Decimal(api("GET", f"/api/v1/budgets/{name}").json["standing"][0]["spent"])
    mine.report(*[event(at=at) for _ in range(20)])
    after = Decimal(api("GET", f"/api/v1/budgets/{name}").json["standing"][0]["spent"])
    api("DELETE", f"/api/v1/budgets/{name}")

    assert after - before == 2 * COST


def test_what_is_reported_again_takes_nothing_of_the_allowance(api: Api, mine: Team) -> None:
    """Duplicates and conflicts, in one request, in the next, or when the allowance is used up, are told as such."""
    allow(api, mine, events=3)
    one, two, three = event(), event(), event()
    conflicting = {**one, "usage": {"input_tokens": 1}}
    first = mine.report(one, one, conflicting)
    assert (first["accepted"], first["duplicate"], first["conflicting"]) == (1, 1, 1)
    assert mine.report(one, one)["duplicate"] == 2
    assert mine.report(two, three)["accepted"] == 2

    again = mine.report(one, two, conflicting, event())
    assert (again["duplicate"], again["conflicting"], codes(again)) == (2, 1, ["above_allowance"])
    assert mine.owner("GET", f"/api/v1/teams/{mine.name}").json["reports"]["reported_today"]["events"] == 3


def test_reports_at_once_stay_within_the_allowance(api: Api, mine: Team) -> None:
    """Eight requests at once, some events in several of them, take in as many as the allowance has, each once."""
    allow(api, mine, events=25)
    shared = [event() for _ in range(5)]
    with ThreadPoolExecutor(8) as threads:
        tallies = list(threads.map(lambda _: mine.report(*shared, *[event() for _ in range(5)]), range(8)))

    stored = mine.owner("GET", "/api/v1/events", query={"limit": 1000}).json["events"]
    assert sum(one["accepted"] for one in tallies) == len(stored) <= 25
    assert mine.owner("GET", f"/api/v1/teams/{mine.name}").json["reports"]["reported_today"]["events"] == len(stored)
    assert mine.report(*[event() for _ in range(30)])["accepted"] == 25 - len(stored)


def test_the_allowance_is_of_the_day_of_the_report(api: Api, mine: Team) -> None:
    """An event of another day counts today; what was reported yesterday does not."""
    allow(api, mine, events=2)
    days = [event(at=f"2026-10-{day:02}T10:00:00Z") for day in range(1, 5)]
    assert mine.report(*days)["accepted"] == 2
    with api.database.write() as connection:
        statement = "UPDATE team_reports SET day_us = day_us - {} WHERE team = '{}'"
        connection.exec_driver_sql(statement.format(DAY_US, mine.name))

    assert mine.report(*days)["accepted"] == 2


def test_what_an_allowance_cannot_count_is_refused(api: Api, mine: Team) -> None:
    """An event without a price, or with one in another currency, would be free: only an admin reports it."""
    allow(api, mine)
    assert codes(mine.report(event(model=fresh("model")))) == ["above_allowance"]
    allow(api, mine, currency="EUR")
    assert codes(mine.report(event())) == ["above_allowance"]


def test_an_allowance_ends(api: Api, mine: Team) -> None:
    """An allowance that is taken back leaves the team without one; a change that names none leaves it as it is."""
    allow(api, mine)
    assert api("PUT", f"/api/v1/teams/{mine.name}", {}).json["reports"]["money"] == "1000"
    assert mine.report(event())["accepted"] == 1
    assert api("PUT", f"/api/v1/teams/{mine.name}", {"reports": None}).json["reports"] is None
    assert mine.owner("POST", "/api/v1/events", event()).status == 403
    assert mine.owner("PUT", f"/api/v1/teams/{mine.name}", {"reports": {"money": "5"}}).status == 403


@pytest.mark.parametrize("wrong", [{"money": "-1"}, {"money": "much"}, {"money": "1", "events": -1}, {}], ids=str)
def test_a_bad_allowance_is_refused(api: Api, mine: Team, wrong: dict[str, Any]) -> None:
    """An invalid allowance is refused with 422, and the team still has no allowance."""
    assert api("PUT", f"/api/v1/teams/{mine.name}", {"reports": wrong}).status == 422
    assert api("GET", f"/api/v1/teams/{mine.name}").json["reports"] is None


def test_a_store_that_fails_gives_nothing_back(api: Api, mine: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where events may or may not have been written, the allowance has them: it is never passed."""
    allow(api, mine, events=3)
    reported = [event(), event()]

    def fail(_commands: object) -> object:
        future = api.loop.create_future()
        future.set_exception(StoreUnavailable("the disk is full"))
        return future

    with monkeypatch.context() as broken:
        broken.setattr(api.committer, "record_all", fail)
        assert mine.owner("POST", "/api/v1/events", reported).status == 503

    assert mine.report(*reported)["accepted"] == 1


# -- customers -------------------------------------------------------------------------------------------------------


def test_a_customer_of_another_team_is_not_named(api: Api, mine: Team, other: Team) -> None:
    """A team neither reports usage of another's customer nor makes keys for it: the customer's budget stays whole."""
    customer, budget = fresh("customer"), fresh("budget")
    assert other.key(customer=customer).status == 201
    api("PUT", f"/api/v1/budgets/{budget}", {"limit": "1", "each": "customer", "window": "total"})
    allow(api, mine)
    refused = mine.key(customer=customer)
    tally = mine.report(event(customer=customer), event(customer=fresh("customer")))
    alone = mine.owner("POST", "/api/v1/events", event(customer=customer))
    standing = api("GET", f"/api/v1/budgets/{budget}").json["standing"]
    api("DELETE", f"/api/v1/budgets/{budget}")

    assert (refused.status, refused.json["code"], refused.json["param"]) == (403, "forbidden", "customer")
    assert (tally["accepted"], codes(tally), alone.status) == (1, ["forbidden"], 403)
    assert customer not in [one["value"] for one in standing]
    assert mine.owner("GET", f"/api/v1/teams/{mine.name}").json["reports"]["reported_today"]["events"] == 1


def test_an_admin_shares_a_customer_and_takes_it_back(api: Api, mine: Team, other: Team) -> None:
    """A shared customer is both teams'; one that was taken from a team is refused to it again, and to nobody else."""
    customer = fresh("customer")
    other.key(customer=customer)
    assert api("PUT", f"/api/v1/teams/{mine.name}", {"customers": [customer]}).json["customers"] == [customer]
    assert (mine.key(customer=customer).status, other.key(customer=customer).status) == (201, 201)
    assert api("PUT", f"/api/v1/teams/{mine.name}", {"without": [customer]}).json["customers"] == []
    assert (mine.key(customer=customer).status, other.key(customer=customer).status) == (403, 201)
    assert api("PUT", f"/api/v1/teams/{other.name}", {"without": [customer]}).status == 200
    assert (mine.key(customer=customer).status, other.key(customer=customer).status) == (403, 403)


@pytest.mark.parametrize("by", ["report", "call of no team"])
def test_a_customer_belongs_to_who_named_it_first(api: Api, mine: Team, other: Team, by: str) -> None:
    """Who has reported a customer has it; one of the operator's own calls, of no team, is given by an admin alone."""
    customer = fresh("customer")
    of = {"team": other.name} if by == "report" else {}
    api("POST", "/api/v1/events", event(customer=customer, **of))

    assert mine.key(customer=customer).status == 403
    assert other.key(customer=customer).status == (201 if by == "report" else 403)
    api("PUT", f"/api/v1/teams/{mine.name}", {"customers": [customer]})
    assert mine.key(customer=customer).status == 201
    assert other.key(customer=customer).status == (201 if by == "report" else 403)


def test_an_admin_makes_keys_for_anybody(api: Api, other: Team) -> None:
    """An admin's key for a team and a customer of another team shares the customer."""
    customer, third = fresh("customer"), fresh("team")
    other.key(customer=customer)
    assert api("POST", "/api/v1/keys", {"name": fresh("key"), "team": third, "customer": customer}).status == 201
    assert (
        api.as_role(Role.TEAM_OWNER, third)("POST", "/api/v1/keys", {"name": "k", "customer": customer}).status == 201
    )
    assert other.key(customer=customer).status == 201


def test_teams_see_themselves_alone(api: Api, mine: Team, other: Team) -> None:
    """A team owner lists and reads its own team; another is as one that does not exist."""
    customer = fresh("customer")
    other.key(customer=customer)
    mine.key()
    everybody: list[str] = []
    query: dict[str, Any] = {"limit": 1000}
    everybody += [one["name"] for one in api("GET", "/api/v1/teams", query=query).json["teams"]]

    assert {mine.name, other.name} <= set(everybody)
    assert [one["name"] for one in mine.owner("GET", "/api/v1/teams").json["teams"]] == [mine.name]
    assert mine.owner("GET", f"/api/v1/teams/{other.name}").status == 404
    assert other.owner("GET", f"/api/v1/teams/{other.name}").json["customers"] == [customer]


# -- names -----------------------------------------------------------------------------------------------------------


def test_a_name_tells_nothing_of_other_teams(api: Api, mine: Team, other: Team) -> None:
    """Two teams, and the operator, may call keys alike; only one's own name is taken."""
    name = fresh("app")
    made = [team.owner("POST", "/api/v1/keys", {"name": name}) for team in (mine, other)]
    made.append(api("POST", "/api/v1/keys", {"name": name}))
    again = [team.owner("POST", "/api/v1/keys", {"name": name}) for team in (mine, other)]

    assert [one.status for one in made] == [201] * 3
    assert [one.json["code"] for one in again] == ["name_taken"] * 2
    with api.database.write() as connection:
        administration = Administration(connection)
        assert {find_key(administration, one.json["id"]).name for one in made} == {name}  # type: ignore[union-attr]
        with pytest.raises(SeveralKeys):
            find_key(administration, name)


def test_a_limit_on_a_team_is_not_the_teams_to_change(api: Api, mine: Team) -> None:
    """What an admin has set for a team its owner cannot change or remove; what the owner has set, both may change."""
    above, own = fresh("budget"), fresh("budget")
    api("PUT", f"/api/v1/budgets/{above}", {"limit": "5", "scope": {"team": mine.name}})

    for refused in (
        mine.owner("PUT", f"/api/v1/budgets/{above}", {"limit": "500"}),
        mine.owner("PUT", f"/api/v1/budgets/{above}", {"limit": "5", "mode": "soft"}),
        mine.owner("DELETE", f"/api/v1/budgets/{above}"),
    ):
        assert (refused.status, refused.json["code"]) == (403, "forbidden")
        assert "only an admin may change it" in refused.json["message"]
    assert api("GET", f"/api/v1/budgets/{above}").json["limit"] == "5"
    assert mine.owner("PUT", f"/api/v1/budgets/{own}", {"limit": "3"}).status == 200
    assert mine.owner("PUT", f"/api/v1/budgets/{own}", {"limit": "4"}).json["limit"] == "4"
    assert api("PUT", f"/api/v1/budgets/{own}", {"limit": "2", "scope": {"team": mine.name}}).json["limit"] == "2"
    assert mine.owner("DELETE", f"/api/v1/budgets/{own}").status == 403
    api("DELETE", f"/api/v1/budgets/{own}")
    api("DELETE", f"/api/v1/budgets/{above}")


def test_budgets_of_one_name_are_each_a_teams_own(api: Api, mine: Team, other: Team) -> None:
    """Two teams and the operator set, change and remove budgets of one name, and none touches another's."""
    name = fresh("monthly")
    api("PUT", f"/api/v1/budgets/{name}", {"limit": "30"})
    ids = [team.owner("PUT", f"/api/v1/budgets/{name}", {"limit": "10"}).json["id"] for team in (mine, other)]
    assert mine.owner("PUT", f"/api/v1/budgets/{name}", {"limit": "11"}).json["id"] == ids[0]
    assert api("PUT", f"/api/v1/budgets/{name}", {"limit": "31"}).json["limit"] == "31"

    rows = [row for row in api("GET", "/api/v1/budgets", query={"limit": 1000}).json["budgets"] if row["name"] == name]
    limits = sorted((row["scope"].get("team", ""), row["limit"]) for row in rows)
    assert limits == sorted([("", "31"), (mine.name, "11"), (other.name, "10")])
    several = api("GET", f"/api/v1/budgets/{name}")
    assert (several.status, several.json["param"]) == (400, "name")
    assert api("GET", f"/api/v1/budgets/{ids[1]}").json["limit"] == "10"
    assert mine.owner("GET", f"/api/v1/budgets/{ids[1]}").status == 404
    assert mine.owner("DELETE", f"/api/v1/budgets/{name}").status == 200
    assert mine.owner("DELETE", f"/api/v1/budgets/{name}").status == 404
    assert other.owner("GET", f"/api/v1/budgets/{name}").json["standing"][0]["limit"] == "10"
    assert api("DELETE", f"/api/v1/budgets/{ids[1]}").status == api("DELETE", f"/api/v1/budgets/{name}").status == 200


def test_an_operators_budget_does_not_take_over_a_teams(api: Api, mine: Team, other: Team) -> None:
    """What an admin sets for all, or for another team, under a name of one team leaves that team's as it is."""
    name = fresh("budget")
    mine.owner("PUT", f"/api/v1/budgets/{name}", {"limit": "1"})
    scopes: list[dict[str, str]] = [{}, {"team": other.name}]
    made = [api("PUT", f"/api/v1/budgets/{name}", {"limit": "2", "scope": scope}) for scope in scopes]

    assert mine.owner("GET", f"/api/v1/budgets/{name}").json["limit"] == "1"
    assert other.owner("GET", f"/api/v1/budgets/{name}").json["limit"] == "2"
    assert {api("DELETE", f"/api/v1/budgets/{one.json['id']}").status for one in made} == {200}
