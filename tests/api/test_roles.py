import pytest
from tests.api.conftest import Api, event, fresh

from pertoken.api import fields
from pertoken.api.route import Route, check
from pertoken.api.routes import keys
from pertoken.api.table import ROUTES
from pertoken.core.access import GRANTS, Action, Hidden, Principal, Role, may, view, why_not
from pertoken.core.directory import Key
from pertoken.services.narrow import NarrowArchive

# What each role may do, stated once more by hand: a route that is not here, or a role that gains one, fails.
EVERYBODY = set(Role)
INSIDE = EVERYBODY - {Role.CUSTOMER}
ALLOWED = {
    "GET /api/v1/whoami": EVERYBODY,
    "GET /api/v1/admins": {Role.ADMIN},
    "POST /api/v1/admins": {Role.ADMIN},
    "DELETE /api/v1/admins/{id}": {Role.ADMIN},
    "GET /api/v1/teams": INSIDE,
    "GET /api/v1/teams/{name}": INSIDE,
    "PUT /api/v1/teams/{name}": {Role.ADMIN},
    "GET /api/v1/customers": INSIDE,
    "POST /api/v1/customers": {Role.ADMIN, Role.FINANCE, Role.TEAM_OWNER},
    "GET /api/v1/customers/{id}": INSIDE,
    "PUT /api/v1/customers/{id}": {Role.ADMIN, Role.FINANCE, Role.TEAM_OWNER},
    "DELETE /api/v1/customers/{id}": {Role.ADMIN, Role.FINANCE, Role.TEAM_OWNER},
    "GET /api/v1/keys": INSIDE,
    "POST /api/v1/keys": {Role.ADMIN, Role.TEAM_OWNER},
    "GET /api/v1/keys/{id}": INSIDE,
    "POST /api/v1/secrets/{id}": {Role.ADMIN, Role.TEAM_OWNER},
    "DELETE /api/v1/keys/{id}": {Role.ADMIN, Role.TEAM_OWNER},
    "GET /api/v1/budgets": INSIDE,
    "GET /api/v1/budgets/{name}": INSIDE,
    "PUT /api/v1/budgets/{name}": {Role.ADMIN, Role.FINANCE, Role.TEAM_OWNER},
    "DELETE /api/v1/budgets/{name}": {Role.ADMIN, Role.FINANCE, Role.TEAM_OWNER},
    "GET /api/v1/holds": INSIDE,
    "GET /api/v1/events": EVERYBODY,
    "POST /api/v1/events": {Role.ADMIN},  # and a team owner whose team has an allowance: test_teams.py
    "GET /api/v1/usage": EVERYBODY,
    "GET /api/v1/calls": INSIDE,
    "GET /api/v1/calls/{call_id}": INSIDE,
    "GET /api/v1/verify": {Role.ADMIN, Role.FINANCE},
    "GET /api/v1/prices/{model}": INSIDE,
    "POST /api/v1/prices": {Role.ADMIN},
    "DELETE /api/v1/announced-prices/{price_id}": {Role.ADMIN},
    "POST /api/v1/reratings": {Role.ADMIN},
    "GET /api/v1/audit": {Role.ADMIN, Role.FINANCE, Role.TEAM_OWNER},
    "GET /api/v1/views": EVERYBODY,
    "POST /api/v1/views": EVERYBODY,
    "DELETE /api/v1/views/{id}": EVERYBODY,
    "GET /api/v1/plans": {Role.ADMIN, Role.FINANCE, Role.VIEWER},
    "GET /api/v1/plans/{id}": {Role.ADMIN, Role.FINANCE, Role.VIEWER},
    "GET /api/v1/subscriptions": {Role.ADMIN, Role.FINANCE, Role.VIEWER},
    "POST /api/v1/plans": {Role.ADMIN, Role.FINANCE},
    "POST /api/v1/subscriptions": {Role.ADMIN, Role.FINANCE},
    "GET /api/v1/counts": {Role.ADMIN, Role.FINANCE, Role.VIEWER},
    "DELETE /api/v1/counts/{name}": {Role.ADMIN},
}


def test_every_route_has_its_expectation() -> None:
    """No route is without a statement here of who may take it."""
    assert {f"{route.method} {route.path}" for route in ROUTES} == set(ALLOWED)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_role_may_or_may_not(api: Api, route: Route, role: Role) -> None:
    """Each route answers 403 to exactly the roles that may not take it, and something else to the others."""
    # a body that is none: who is allowed is told what is wrong with it, and nothing changes
    path = route.path.partition("{")[0] + ("there-is-none" if route.parameter else "")
    reply = api.as_role(role)(route.method, path, None if route.body is None else b"{}")

    if role in ALLOWED[f"{route.method} {route.path}"]:
        assert reply.status in (200, 404, 422), reply.raw
    else:
        assert (reply.status, reply.json["code"]) == (403, "forbidden")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer wrong", "Basic cm9vdDpyb290", "Bearer ä", "Bearer sk-pt-x"]
)
def test_nobody_may_do_anything(api: Api, route: Route, authorization: str | None) -> None:
    """Without an admin key every route answers 401, whatever else is wrong with the request."""
    reply = api(route.method, route.path.replace("{", "").replace("}", ""), b"[", authorization=authorization)

    assert (reply.status, reply.json["code"]) == (401, "unknown_key")
    assert reply.headers["www-authenticate"] == "Bearer"


def test_a_route_without_an_action_is_impossible() -> None:
    """The table refuses a route whose action is none, or whose action does not fit its method."""
    route = ROUTES[0]
    for wrong in (None, "keys.read"):
        with pytest.raises(AssertionError):
            check([route._replace(action=wrong)])  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        check([Route("POST", "/api/v1/x", Action.KEYS_READ, "", keys.list_keys, keys.KeysAnswer, fields.PageQuery)])
    with pytest.raises(AssertionError):
        check([route, route])


def test_every_action_belongs_to_somebody() -> None:
    """Every role has an entry, every action a role, and only an admin may make admins."""
    assert set(GRANTS) == set(Role)
    assert set().union(*GRANTS.values()) == set(Action)
    assert [role for role in Role if Action.ADMINS_WRITE in GRANTS[role]] == [Role.ADMIN]


def test_a_role_has_what_it_needs() -> None:
    """A team owner needs a team, a customer a customer, and nobody else may have one."""
    assert why_not(Role.TEAM_OWNER, "t", None) is None
    assert why_not(Role.CUSTOMER, None, "c") is None
    assert why_not(Role.ADMIN, None, None) is None
    for role, team, customer in [
        (Role.TEAM_OWNER, None, None), (Role.TEAM_OWNER, "", None), (Role.TEAM_OWNER, "t", "c"),
        (Role.CUSTOMER, None, None), (Role.ADMIN, "t", None), (Role.VIEWER, None, "c"),
    ]:  # fmt: skip
        assert why_not(role, team, customer)
    with pytest.raises(Hidden):
        view(Principal("", "", Role.TEAM_OWNER))
    with pytest.raises(Hidden):
        view(Principal("", "", Role.CUSTOMER))
    assert not may(Principal("", "", Role.CUSTOMER, None, "c"), Action.COSTS_READ)


def test_a_revoked_admin_key_opens_nothing(api: Api) -> None:
    """An admin key is made once with its secret, works, and is refused from its revocation on."""
    made = api("POST", "/api/v1/admins", {"name": fresh("admin"), "role": "viewer"}).json
    holder = Api(api.app, api.database, api.committer, api.loop, api.hasher, api.plane, made["secret"])

    assert made["secret"].startswith("sk-pt-admin-")
    assert holder("GET", "/api/v1/whoami").json["id"] == made["id"]
    assert made["secret"] not in api("GET", "/api/v1/admins", query={"limit": 1000}).raw.decode()
    assert api("DELETE", f"/api/v1/admins/{made['id']}").json["status"] == "revoked"
    assert holder("GET", "/api/v1/whoami").status == 401


def test_an_admin_key_expires(api: Api) -> None:
    """An admin key past its time is refused; one that would expire in the past is not made."""
    name = fresh("admin")
    past = api("POST", "/api/v1/admins", {"name": name, "role": "viewer", "expires_at": "2020-01-01"})
    made = api("POST", "/api/v1/admins", {"name": name, "role": "viewer", "expires_at": "2999-01-01"}).json
    holder = Api(api.app, api.database, api.committer, api.loop, api.hasher, api.plane, made["secret"])

    assert past.status == 422
    assert holder("GET", "/api/v1/whoami").status == 200
    with api.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE admin_keys SET expires_at_us = 1 WHERE admin_id = '{made['id']}'")  # noqa: S608 - an id of our own
    assert holder("GET", "/api/v1/whoami").status == 401


def test_a_virtual_key_is_no_admin_key(api: Api) -> None:
    """The secret of a virtual key opens nothing here, and the answer says what it is."""
    made = api("POST", "/api/v1/keys", {"name": fresh("key")}).json
    holder = Api(api.app, api.database, api.committer, api.loop, api.hasher, api.plane, made["secret"])
    reply = holder("GET", "/api/v1/whoami")

    assert reply.status == 401
    assert "virtual key" in reply.json["message"]


def test_costs_are_not_a_customers_to_see(api: Api) -> None:
    """What the provider charges is empty in a customer's events and usage, and there for others."""
    customer = fresh("customer")
    api("POST", "/api/v1/events", event(customer=customer))
    range_ = {"since": "2026-11-01", "until": "2026-11-01"}
    seen = api.as_role(Role.CUSTOMER, customer)

    assert seen("GET", "/api/v1/events").json["events"][0]["cost"] is None
    usage = seen("GET", "/api/v1/usage", query=range_).json
    assert [row["cost"] for row in (*usage["rows"], *usage["totals"], usage["total"])] == [None] * 3
    assert usage["rows"][0]["calls"] == 1
    assert api("GET", "/api/v1/events", query={"customer": customer}).json["events"][0]["cost"] == "0.00021"


def test_who_may_not_see_costs_may_not_ask_by_them(api: Api) -> None:
    """A customer cannot find out by a filter what the provider charges for its calls."""
    customer = fresh("customer")
    api("POST", "/api/v1/events", event(customer=customer))
    asked = {"since": "2026-11-01", "until": "2026-11-01", "min_cost": "0.0002"}
    own = api.as_role(Role.CUSTOMER, customer)

    assert own("GET", "/api/v1/usage", query=asked).status == 403
    assert own("GET", "/api/v1/usage", query={**asked, "min_cost": "0"}).status == 403
    assert api("GET", "/api/v1/usage", query={**asked, "customer": customer}).json["total"]["calls"] == 1


def test_what_cannot_be_split_is_forbidden(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route that asks for more than its caller may see is our mistake, and answered with 403, not with 500."""

    def hidden(_archive: NarrowArchive) -> list[Key]:
        raise Hidden("for all alone")

    monkeypatch.setattr(NarrowArchive, "list_keys", hidden)
    reply = api("GET", "/api/v1/keys")

    assert (reply.status, reply.json["code"], reply.json["message"]) == (403, "forbidden", "for all alone")
