"""Two teams and two customers in one database: whatever one asks for, nothing of the other is in any answer."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.api.conftest import Api, event, fresh

from pertoken.api.table import ROUTES
from pertoken.core.access import Role
from pertoken.core.budgets import Attribution
from pertoken.core.commands import OpenHold, Void
from pertoken.core.holds import Hold

DAY = {"since": "2026-11-01", "until": "2026-11-01"}


@dataclass
class Side:
    """One of the two: a team and a customer with a key, events, budgets and an open hold of their own."""

    mark: str  # in every name of theirs, and in nobody else's
    key_id: str
    call_id: str
    hold_id: str
    owner: Api
    customer: Api

    @property
    def words(self) -> set[str]:
        """Return what must never be in an answer to the other."""
        return {self.mark, self.key_id}


def make_side(api: Api) -> Side:
    """Return a side with something of everything."""
    mark = fresh("side")
    owner = api.as_role(Role.TEAM_OWNER, mark)
    key_id = owner("POST", "/api/v1/keys", {"name": f"key-{mark}", "customer": mark}).json["id"]
    scopes = {"team": {"team": mark}, "key": {"key": key_id}}
    for name, scope in scopes.items():
        assert api("PUT", f"/api/v1/budgets/{name}-{mark}", {"limit": "7", "scope": scope}).status == 200
    reported = event(id=f"event-{mark}", team=mark, customer=mark, key=key_id, user=mark, tags={"of": mark})
    assert api("POST", "/api/v1/events", reported).json["accepted"] == 1
    now_us = time.time_ns() // 1_000
    of = Attribution(key_id, mark, mark, mark, "openai", "gpt-4o-mini")
    hold = Hold(f"call-{mark}", of, 10**12, 1_000, now_us, now_us + 3_600_000_000, "test")

    async def open_hold() -> object:
        return await api.committer.submit(OpenHold(hold, api.committer.directory.revision))

    for _ in range(3):  # another change of the directory sends a hold back
        if type(api.run(open_hold())).__name__ == "Held":
            break
    else:
        pytest.fail("the hold was not opened")
    customer = api.as_role(Role.CUSTOMER, mark)
    return Side(mark, key_id, f"event-{mark}", hold.hold_id, owner, customer)


@pytest.fixture(scope="module")
def sides(api: Api) -> Iterator[tuple[Side, Side]]:
    """Return both sides."""
    made = make_side(api), make_side(api)
    yield made
    for side in made:
        of = Attribution(side.key_id, side.mark, side.mark, side.mark, "openai", "gpt-4o-mini")

        async def let_go(side: Side = side, of: Attribution = of) -> None:
            await api.committer.submit(Void(side.hold_id, of, time.time_ns() // 1_000))

        api.run(let_go())


def names_of(side: Side) -> dict[str, str]:
    """Return what the paths' parameters can name."""
    return {"id": side.key_id, "name": f"team-{side.mark}", "call_id": side.call_id, "model": "gpt-4o-mini"}


@pytest.mark.parametrize("role", ["owner", "customer"])
@pytest.mark.parametrize("route", [one for one in ROUTES if one.method == "GET"], ids=lambda route: route.path)
def test_no_answer_names_the_other(sides: tuple[Side, Side], route: object, role: str) -> None:
    """Whatever can be read, asked for by any filter or name, an answer to one has no word of the other."""
    mine, other = sides
    ask = getattr(mine, role)
    names = names_of(other)
    path = route.path.format(**names)  # type: ignore[attr-defined]
    filters = [{}]
    if path in ("/api/v1/events", "/api/v1/calls"):
        asked = {"team": other.mark, "customer": other.mark, "user": other.mark, "key": other.key_id}
        filters += [{name: value} for name, value in asked.items()]
        filters += [{"team": mine.mark, "customer": other.mark}, {"limit": "1"}]
    elif path == "/api/v1/usage":
        filters = [
            {**DAY, "by": by} for by in ("team", "customer", "key", "user", "tag:of", "day,team", "conversation,user")
        ]
        filters += [{"since": "2026-11-01T09:30:00Z", "until": "2026-11-01T10:30:00Z", "by": "team,customer,user"}]
    elif path.startswith("/api/v1/prices"):
        return
    for query in filters:
        reply = ask("GET", path, query=query)
        said = reply.json
        if reply.status == 404:
            said.pop("message"), said.pop("param")  # which repeat what was asked for
        assert not any(word in str(said) for word in other.words), (path, query, said)


@pytest.mark.parametrize("role", ["owner", "customer"])
def test_each_sees_its_own(sides: tuple[Side, Side], role: str) -> None:
    """The narrow view is not an empty one: what is one's own is there."""
    mine, _ = sides
    ask = getattr(mine, role)

    assert [one["id"] for one in ask("GET", "/api/v1/events").json["events"]] == [mine.call_id]
    assert [row["customer"] for row in ask("GET", "/api/v1/usage", query={**DAY, "by": "customer"}).json["rows"]] == [
        mine.mark
    ]
    if role == "owner":
        assert [one["call_id"] for one in ask("GET", "/api/v1/calls").json["calls"]] == [mine.call_id]
        assert [one["id"] for one in ask("GET", "/api/v1/keys").json["keys"]] == [mine.key_id]
        budgets = ask("GET", "/api/v1/budgets").json["budgets"]
        assert [one["name"] for one in budgets] == [f"key-{mine.mark}", f"team-{mine.mark}"]
        assert {one["spent"] for one in budgets} == {"0.00021"}
        assert {one["held"] for one in budgets} == {"1"}
        assert [one["call_id"] for one in ask("GET", "/api/v1/holds").json["holds"]] == [mine.hold_id]
        explained = ask("GET", f"/api/v1/calls/{mine.call_id}").json
        assert {one["name"] for one in explained["budgets"]} == {f"key-{mine.mark}", f"team-{mine.mark}"}
        assert ask("GET", f"/api/v1/calls/{mine.hold_id}").json["status"] == "open"


def test_a_budget_of_all_stays_hidden(api: Api, sides: tuple[Side, Side]) -> None:
    """A budget over several teams is not a team owner's to see, nor to be told of in an explained call."""
    mine, _ = sides
    name = fresh("everybody")
    api("PUT", f"/api/v1/budgets/{name}", {"limit": "1000"})
    try:
        assert mine.owner("GET", f"/api/v1/budgets/{name}").status == 404
        assert name not in mine.owner("GET", f"/api/v1/calls/{mine.call_id}").raw.decode()
        assert name in api("GET", f"/api/v1/calls/{mine.call_id}").raw.decode()
    finally:
        api("DELETE", f"/api/v1/budgets/{name}")


def test_a_hold_of_another_is_not_explained(api: Api) -> None:
    """A call that is under way, or was let go, is explained to its own team and is not there for another."""
    mine, other = make_side(api), make_side(api)
    of = Attribution(other.key_id, other.mark, other.mark, other.mark, "openai", "gpt-4o-mini")
    path = f"/api/v1/calls/{other.hold_id}"

    async def let_go(side: Side, of: Attribution) -> None:
        await api.committer.submit(Void(side.hold_id, of, time.time_ns() // 1_000))

    assert (other.owner("GET", path).json["status"], mine.owner("GET", path).status) == ("open", 404)
    api.run(let_go(other, of))
    assert (other.owner("GET", path).json["status"], mine.owner("GET", path).status) == ("voided", 404)
    api.run(let_go(mine, of._replace(key=mine.key_id, team=mine.mark, customer=mine.mark, user=mine.mark)))


def test_two_events_of_one_id_are_not_mixed(api: Api, sides: tuple[Side, Side]) -> None:
    """Where another's event has the id of one's own under another source, an explanation shows one's own alone."""
    mine, other = sides
    api("POST", "/api/v1/events", event(id=mine.call_id, source="elsewhere", team=other.mark))
    explained = mine.owner("GET", f"/api/v1/calls/{mine.call_id}").json

    assert [one["source"] for one in explained["attempts"]] == ["events"]


def test_a_team_owner_changes_nothing_of_another_team(api: Api, sides: tuple[Side, Side]) -> None:
    """Keys, budgets and events of another team can be neither made, nor changed, nor removed; nothing happens."""
    mine, other = sides
    budget = {"limit": "1", "scope": {"team": other.mark}}
    before = api("GET", f"/api/v1/budgets/team-{other.mark}").json

    assert mine.owner("DELETE", f"/api/v1/keys/{other.key_id}").status == 404
    assert mine.owner("POST", "/api/v1/keys", {"name": fresh("key"), "team": other.mark}).status == 403
    assert mine.owner("PUT", f"/api/v1/budgets/team-{other.mark}", {"limit": "1"}).json["scope"] == {"team": mine.mark}
    assert mine.owner("DELETE", f"/api/v1/budgets/team-{other.mark}").status == 200
    assert mine.owner("PUT", f"/api/v1/budgets/{fresh('b')}", budget).status == 403
    assert mine.owner("DELETE", f"/api/v1/budgets/team-{other.mark}").status == 404
    api("PUT", f"/api/v1/teams/{mine.mark}", {"reports": {"money": "5"}})
    assert mine.owner("POST", "/api/v1/events", event(team=other.mark)).status == 403
    assert mine.owner("POST", "/api/v1/events", event(key=other.key_id)).status == 403
    many = mine.owner("POST", "/api/v1/events", [event(team=other.mark), event(key=other.key_id)]).json
    assert [one["code"] for one in many["rejected"]] == ["forbidden"] * 2
    assert api("GET", f"/api/v1/keys/{other.key_id}").json["revoked_at"] is None
    assert api("GET", f"/api/v1/budgets/team-{other.mark}").json == before


def test_what_a_team_owner_makes_is_its_teams(api: Api) -> None:
    """A key, a budget and an event that name no team are the team's of the one who makes them."""
    team = fresh("team")
    owner = api.as_role(Role.TEAM_OWNER, team)
    name, reported = fresh("budget"), event()
    api("PUT", f"/api/v1/teams/{team}", {"reports": {"money": "5"}})

    assert owner("POST", "/api/v1/keys", {"name": fresh("key")}).json["team"] == team
    assert owner("PUT", f"/api/v1/budgets/{name}", {"limit": "5"}).json["scope"] == {"team": team}
    assert owner("PUT", f"/api/v1/budgets/{name}", {"limit": "6"}).json["limit"] == "6"
    assert owner("POST", "/api/v1/events", reported).json["accepted"] == 1
    [seen] = api("GET", "/api/v1/events", query={"team": team}).json["events"]
    assert (seen["id"], seen["source"]) == (reported["id"], f"team:{team}")
    assert owner("DELETE", f"/api/v1/budgets/{name}").status == 200


def test_ids_of_others_are_neither_learnt_nor_taken(api: Api) -> None:
    """What a team owner reports has a source of its own: it meets no other event, and no other event meets it."""
    team, theirs, later = fresh("team"), event(team=fresh("team")), event(team=fresh("team"))
    owner = api.as_role(Role.TEAM_OWNER, team)
    api("PUT", f"/api/v1/teams/{team}", {"reports": {"money": "5"}})
    api("POST", "/api/v1/events", theirs)

    for reported in (event(id=theirs["id"]), event(id=later["id"])):
        assert owner("POST", "/api/v1/events", reported).json["accepted"] == 1
        assert owner("POST", "/api/v1/events", {**reported, "source": "events"}).status == 403
    assert api("POST", "/api/v1/events", later).json["accepted"] == 1
