"""Who changed what is written down in the transaction of the change."""

import pytest
from tests.api.conftest import Api, fresh

from pertoken.api.table import ROUTES
from pertoken.core.access import Role

SECRET = "sk-pt-"


def changes(api: Api, **query: str) -> list[dict]:  # type: ignore[type-arg]
    """Return the newest changes."""
    return list(api("GET", "/api/v1/audit", query=query).json["changes"])


def test_every_change_is_written_down_once(api: Api) -> None:
    """Making, changing and taking away each leave one record: who, what, before and after, and no secret."""
    name, team = fresh("k"), fresh("team")
    key = api("POST", "/api/v1/keys", {"name": name, "team": team}).json
    api("POST", f"/api/v1/secrets/{key['id']}", {})
    api("PUT", f"/api/v1/budgets/{name}", {"limit": "5", "scope": {"team": team}})
    api("PUT", f"/api/v1/budgets/{name}", {"limit": "7", "scope": {"team": team}})
    api("DELETE", f"/api/v1/budgets/{name}")
    api("DELETE", f"/api/v1/keys/{key['id']}")
    api("PUT", f"/api/v1/teams/{team}", {"customers": ["acme"]})
    found = changes(api, limit="7")

    assert [(one["action"], one["object"]) for one in reversed(found)] == [
        ("keys.write", f"/api/v1/keys/{key['id']}"),
        ("keys.write", f"/api/v1/secrets/{key['id']}"),
        ("budgets.write", f"/api/v1/budgets/{name}"),
        ("budgets.write", f"/api/v1/budgets/{name}"),
        ("budgets.write", f"/api/v1/budgets/{name}"),
        ("keys.write", f"/api/v1/keys/{key['id']}"),
        ("teams.write", f"/api/v1/teams/{team}"),
    ]
    limits = [(one["before"] and one["before"]["limit"], one["after"] and one["after"]["limit"]) for one in found[2:5]]
    assert limits == [("7", None), ("5", "7"), (None, "5")]
    assert found[1]["before"]["revoked_at"] is None
    assert found[1]["after"]["revoked_at"] is not None
    assert {(one["actor"], one["role"], one["through"], one["team"]) for one in found} == {
        ("root", "admin", "api", team)
    }
    assert SECRET not in str(found)


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if one.method != "GET"], ids=lambda one: f"{one.method} {one.path}"
)
def test_what_is_refused_leaves_no_record(api: Api, route) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """A change that is not made is not written down."""
    before = changes(api, limit="1")
    path = route.path.partition("{")[0] + ("there-is-none" if route.parameter else "")

    assert api(route.method, path, None if route.body is None else b'{"no": 1}').status in (404, 422)
    assert changes(api, limit="1") == before


def test_an_asked_again_change_is_one_record(api: Api) -> None:
    """A named request that is asked again leaves no second record."""
    name = fresh("k")
    for _ in range(2):
        assert api("POST", "/api/v1/keys", {"name": name}, idempotency_key=name).status == 201

    assert [one["after"]["name"] for one in changes(api, limit="2")].count(name) == 1


def test_a_team_owner_sees_the_changes_of_its_team(api: Api) -> None:
    """Records are narrowed like all else: a team's owner sees those of the team alone, whoever made them."""
    one, other = fresh("one"), fresh("other")
    for team in (one, other):
        api("POST", "/api/v1/keys", {"name": fresh("k"), "team": team})
    owner = api.as_role(Role.TEAM_OWNER, one)
    owner("POST", "/api/v1/keys", {"name": fresh("mine")})

    assert [change["team"] for change in changes(owner)] == [one, one]
    assert [change["role"] for change in changes(owner)] == ["team_owner", "admin"]


def test_pages_of_changes_hold_each_once(api: Api) -> None:
    """Walking by cursor meets every record once, the newest first."""
    team = fresh("team")
    for _ in range(5):
        api("POST", "/api/v1/keys", {"name": fresh("k"), "team": team})
    owner = api.as_role(Role.TEAM_OWNER, team)
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        page = owner("GET", "/api/v1/audit", query={"limit": "2", **({"cursor": cursor} if cursor else {})}).json
        seen += [change["object"] for change in page["changes"]]
        cursor = page["next_cursor"]

    assert len(seen) == len(set(seen)) == 5
