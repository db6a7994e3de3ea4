from typing import Any

import pytest
from tests.api.conftest import Api, event, fresh

from pertoken.api.app import WAITING_MAX
from pertoken.api.table import ROUTES
from pertoken.core.access import Role
from pertoken.ports.failures import StoreFailed

TIMES = {"since": "2026-11-01", "until": "2026-11-01"}


def test_a_key_lives_and_ends(api: Api) -> None:
    """A key is made with its secret, is known to the ledger that serves calls, and is gone from it once revoked."""
    body = {"name": fresh("key"), "team": "t", "customer": "c", "tags": {"feature": "x"}}
    made = api("POST", "/api/v1/keys", body)
    key_id = made.json["id"]
    shown = api("GET", f"/api/v1/keys/{key_id}")

    assert made.status == 201
    assert made.json["secret"].startswith("sk-pt-")
    assert shown.json == {name: value for name, value in made.json.items() if name != "secret"}
    assert {name: shown.json[name] for name in body} == body
    assert api("POST", "/api/v1/keys", body).json["code"] == "name_taken"
    revoked = api("DELETE", f"/api/v1/keys/{key_id}").json
    assert revoked["revoked_at"] is not None
    assert api("DELETE", f"/api/v1/keys/{key_id}").json == revoked


def test_a_key_ends_and_is_rotated(api: Api) -> None:
    """A key may be made to end; a new secret takes over, while the old one is good for as long as asked."""
    made = api("POST", "/api/v1/keys", {"name": fresh("key"), "expires_at": "2031-01-01T00:00:00Z"}).json
    rotated = api("POST", f"/api/v1/secrets/{made['id']}", {"overlap_s": 60})

    assert rotated.status == 201
    assert (rotated.json["id"], rotated.json["expires_at"]) == (made["id"], "2031-01-01T00:00:00Z")
    assert rotated.json["secret"] not in (None, made["secret"])
    assert rotated.json["old_secret_until"] > rotated.json["created_at"]
    assert api("GET", f"/api/v1/keys/{made['id']}").json["secret_ends_in"] == rotated.json["secret"][-4:]
    assert api("POST", f"/api/v1/secrets/{made['id']}", {"overlap_s": -1}).status == 422
    api("DELETE", f"/api/v1/keys/{made['id']}")
    assert api("POST", f"/api/v1/secrets/{made['id']}", {}).status == 404


def test_a_budget_says_what_comes_before_a_refusal(api: Api) -> None:
    """Steps and warning are set and read back; none at all is a refusal at once."""
    name = fresh("budget")
    body = {"limit": "1", "before_refusal": ["cheaper", "cap"], "warn_percent": 80}
    made = api("PUT", f"/api/v1/budgets/{name}", body).json
    assert (made["before_refusal"], made["warn_percent"]) == (["cheaper", "cap"], 80)
    assert made["standing"][0]["before_refusal"] == ["cheaper", "cap"]
    assert api("PUT", f"/api/v1/budgets/{name}", {"limit": "1", "before_refusal": []}).json["before_refusal"] == []
    for wrong in ({"before_refusal": ["beg"]}, {"before_refusal": ["cap", "cap"]}, {"warn_percent": 0}):
        assert api("PUT", f"/api/v1/budgets/{name}", {"limit": "1", **wrong}).status == 422
    api("DELETE", f"/api/v1/budgets/{name}")


def test_keys_come_in_pages(api: Api) -> None:
    """Cursors lead through all keys, the oldest first, each once."""
    made = [api("POST", "/api/v1/keys", {"name": fresh("key")}).json["id"] for _ in range(5)]
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        said = api("GET", "/api/v1/keys", query=query).json
        assert len(said["keys"]) <= 2
        seen += [one["id"] for one in said["keys"]]
        if said["next_cursor"] is None:
            break
        query["cursor"] = said["next_cursor"]

    assert len(seen) == len(set(seen))
    assert seen[-5:] == made


def test_a_budget_is_set_changed_and_removed(api: Api) -> None:
    """A budget counts what was spent before it was set; a new limit keeps its counter; its name may hold a slash."""
    team, name = fresh("team"), f"team/{fresh('budget')} €"
    api("POST", "/api/v1/events", event(team=team, at=now_text()))
    body = {"limit": "10", "scope": {"team": team}, "mode": "soft", "timezone": "Europe/Berlin"}
    made = api("PUT", f"/api/v1/budgets/{name}", body).json

    assert [(one["spent"], one["held"], one["remaining"]) for one in made["standing"]] == [("0.00021", "0", "9.99979")]
    assert {field: made[field] for field in body} == body
    assert api("GET", f"/api/v1/budgets/{name}").json == made
    changed = api("PUT", f"/api/v1/budgets/{name}", {**body, "limit": 20}).json
    assert (changed["id"], changed["limit"], changed["standing"][0]["spent"]) == (made["id"], "20", "0.00021")
    assert [row for row in every(api, "budgets") if row["name"] == name] == changed["standing"]
    assert api("DELETE", f"/api/v1/budgets/{name}").json == {"name": name, "removed": True}
    assert api("GET", f"/api/v1/budgets/{name}").status == 404
    assert api("DELETE", f"/api/v1/budgets/{name}").status == 404


def test_a_budget_of_a_key_counts_that_key(api: Api) -> None:
    """A key in a scope is found by its name or its id; one that is none is refused, for it would limit nothing."""
    key, name = api("POST", "/api/v1/keys", {"name": fresh("key")}).json, fresh("budget")

    for said in (key["name"], key["id"]):
        made = api("PUT", f"/api/v1/budgets/{name}", {"limit": "1", "scope": {"key": said}}).json
        assert made["scope"] == {"key": key["id"]}
    refused = api("PUT", f"/api/v1/budgets/{name}", {"limit": "1", "scope": {"key": "none"}})
    assert (refused.status, refused.json["param"]) == (422, "scope.key")
    api("DELETE", f"/api/v1/budgets/{name}")


def test_a_budget_for_each_shows_every_value(api: Api) -> None:
    """A budget for each customer is there before it has a counter, and then stands once for each."""
    team, name = fresh("team"), fresh("budget")
    body = {"limit": 100, "axis": "requests", "window": "total", "scope": {"team": team}, "each": "customer"}

    assert api("PUT", f"/api/v1/budgets/{name}", body).json["standing"] == []
    for customer in ("a", "a", "b"):
        api("POST", "/api/v1/events", event(team=team, customer=customer))
    standing = api("GET", f"/api/v1/budgets/{name}").json["standing"]
    assert [(one["value"], one["spent"], one["remaining"]) for one in standing] == [("a", 2, 98), ("b", 1, 99)]
    api("DELETE", f"/api/v1/budgets/{name}")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"limit": None}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"limit": "much"}, None),
        ({"limit": "-1"}, None),
        ({"limit": 10**40}, None),
        ({"limit": "1e400"}, None),
        ({"limit": "NaN"}, None),
        ({"limit": "0.0000000000001"}, None),
        ({"axis": "cars"}, "axis"),
        ({"window": "year"}, "window"),
        ({"timezone": "Mars/Olympus"}, None),
        ({"timezone": "../../etc/passwd"}, None),
        ({"scope": {"colour": "red"}}, None),
        ({"scope": {"team": ""}}, "scope[...]"),
        ({"scope": {"team": "a\0"}}, "scope[...]"),
        ({"scope": {"team": 5}}, "scope[...]"),
        ({"each": "colour"}, None),
        ({"currency": "dollars"}, "currency"),
        ({"currency": "USD\n"}, "currency"),
        ({"unknown": 1}, "unknown"),
    ],
    ids=str,
)
def test_a_bad_budget_is_refused(api: Api, change: dict[str, Any], param: str | None) -> None:
    """What is no budget is refused with 422 that names the field, and none is made."""
    name = fresh("budget")
    reply = api("PUT", f"/api/v1/budgets/{name}", {"limit": "1", **change})

    assert (reply.status, reply.json["param"]) == (422, param), reply.raw
    assert api("GET", f"/api/v1/budgets/{name}").status == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window": "daily"}, "minute, hour, day, week, month, total"),
        ({"before_refusal": ["cap", "qeue"]}, "cap, cheaper, queue"),
    ],
    ids=str,
)
def test_a_word_that_is_none_of_few_is_told_with_them(api: Api, change: dict[str, Any], words: str) -> None:
    """Where a field takes few words, the refusal of another says them all."""
    said = api("PUT", f"/api/v1/budgets/{fresh('budget')}", {"limit": "1", **change}).json["message"]

    assert said.endswith(f"; write one of: {words}")


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("keys", {"limit": "0"}, "limit"),
        ("keys", {"limit": "1001"}, "limit"),
        ("keys", {"limit": "9" * 400}, "limit"),
        ("keys", {"limit": "many"}, "limit"),
        ("keys", {"colour": "red"}, "colour"),
        ("keys", [("limit", "1"), ("limit", "2")], "limit"),
        ("keys", {"cursor": "?"}, "cursor"),
        ("keys", {"cursor": "ä"}, "cursor"),
        ("keys", {"cursor": "WzFd"}, "cursor"),  # [1]
        ("keys", {"cursor": "W" * 3_000}, "cursor"),
        ("keys", {"cursor": "W1tb" * 400}, "cursor"),
        ("events", {"cursor": "WyJhIl0"}, "cursor"),  # ["a"]
        ("events", {"cursor": "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTld"}, "cursor"),  # beyond 64 bits
        ("events", {"since": "soon"}, "since"),
        ("events", {"until": "9999-12-31"}, "until"),
        ("events", {"team": "a\0"}, "team"),
        ("events", {"team": "a" * 3_000}, "team"),
        ("usage", {"by": "colour"}, "by"),
        ("usage", {"by": "model," * 9}, "by"),
        ("usage", {"by": "model,day", "since": "1971-01-01", "until": "9998-12-31"}, "until"),
        ("usage", {"by": "week", "since": "1971-01-01", "until": "9998-12-31"}, "until"),
        ("usage", {"timezone": "Mars"}, "timezone"),
        ("usage", {"since": "0001-01-01"}, "since"),
        ("usage", {"until": "9999-12-31"}, "until"),
        ("usage", {"since": "2026-11-02", "until": "2026-11-01"}, "since"),
        ("usage", {"cursor": "e30"}, "cursor"),
        ("prices/gpt-4o-mini", {"at": "never"}, "at"),
        ("prices/gpt-4o-mini", {"provider": "\x1b"}, "provider"),
        ("keys/\0", {}, "id"),
        ("budgets/a\x1bb", {}, "name"),
        ("calls/" + "x" * 3_000, {}, "call_id"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_parameter_is_refused(api: Api, path: str, query: Any, param: str) -> None:
    """A parameter that cannot be read is refused with 400 that names it."""
    reply = api("GET", f"/api/v1/{path}", query=query)

    assert (reply.status, reply.json["code"], reply.json["param"]) == (400, "invalid_parameter", param), reply.raw


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_a_body_of_another_kind_is_refused(api: Api, kind: str | None) -> None:
    """A body that does not say that it is JSON is refused with 415."""
    assert api("POST", "/api/v1/keys", {"name": "x"}, content_type=kind).status == 415
    assert api("PUT", "/api/v1/budgets/x", {"limit": "1"}, content_type=kind).status == 415


def test_a_body_too_large_is_refused(api: Api) -> None:
    """A body beyond the limit of its path is refused with 413."""
    assert api("POST", "/api/v1/keys", b" " * 70_000).status == 413


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
def test_a_method_that_is_none_is_405(api: Api, path: str) -> None:
    """A path says which methods it takes."""
    reply = api("PATCH", path.replace("{", "").replace("}", ""))
    allowed = sorted(route.method for route in ROUTES if route.path == path)

    assert (reply.status, reply.headers["allow"]) == (405, ", ".join(allowed))


NO_PATHS = ["", "v1", "v1/", "v1/keys/", "v1/holds/x", "v2/keys", "v1/keys/../admins", "v1/budgets/a\nb"]


@pytest.mark.parametrize("path", NO_PATHS)
def test_a_path_that_is_none_is_404(api: Api, path: str) -> None:
    """What is no path is 404, in the form of every error; nothing is redirected."""
    reply = api("GET", f"/api/{path}")

    assert (reply.status, reply.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("host", ["[", "", "a b", "x" * 1_000, "host:port"])
def test_a_strange_host_matters_to_nobody(api: Api, host: str) -> None:
    """The Host header decides nothing, whatever is in it."""
    body = {"name": fresh("key")}

    assert api("GET", "/api/v1/whoami", host=host).status == 200
    assert api("PATCH", "/api/v1/whoami", host=host).status == 405
    assert api("POST", "/api/v1/keys", body, host=host, idempotency_key=fresh("name")).status == 201


def test_head_is_get_without_a_body(api: Api) -> None:
    """HEAD is answered as GET is; the server leaves the body out."""
    assert api("HEAD", "/api/v1/whoami").status == 200


def test_usage_is_that_of_the_command(api: Api) -> None:
    """Rows, total and range are those of `pertoken usage`, in pages where there are many."""
    team = fresh("team")
    api("POST", "/api/v1/events", [event(team=team, customer=name) for name in "abc"])
    owner, query = api.as_role(Role.TEAM_OWNER, team), {**TIMES, "by": "customer"}
    whole = owner("GET", "/api/v1/usage", query=query).json
    first = owner("GET", "/api/v1/usage", query={**query, "limit": 2}).json
    rest = owner("GET", "/api/v1/usage", query={**query, "limit": 2, "cursor": first["next_cursor"]}).json

    assert [row["customer"] for row in whole["rows"]] == ["a", "b", "c"]
    assert (whole["total"]["calls"], whole["total"]["cost"], whole["next_cursor"]) == (3, "0.00063", None)
    assert (whole["since"], whole["until"]) == ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")
    assert first["rows"] + rest["rows"] == whole["rows"]
    assert first["total"] == whole["total"]
    assert rest["next_cursor"] is None


def test_prices_are_those_in_force(api: Api) -> None:
    """The prices of a model at an instant, also of one whose name holds a slash; an unknown one is 404."""
    said = api("GET", "/api/v1/prices/gpt-4o-mini", query={"provider": "openai", "at": "2026-11-01"}).json

    assert {row["unit"]: row["per_million"] for row in said["prices"]}["input_tokens"] == "0.15"
    assert (said["model"], said["provider"], said["at"]) == ("gpt-4o-mini", "openai", "2026-11-01T00:00:00Z")
    missing = api("GET", "/api/v1/prices/no/such/model")
    assert (missing.status, missing.json["param"]) == (404, "model")


def test_the_books_are_verified(api: Api) -> None:
    """The verdict is that of `pertoken verify`, and right."""
    api("POST", "/api/v1/events", event())
    said = api("GET", "/api/v1/verify").json

    assert said["ok"], said["differences"]
    assert said["checked"]["events"] > 0


def test_a_store_that_cannot_be_read_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the database cannot be opened every route says so, with 503 and never with 500."""

    def fail(*_: object) -> None:
        raise StoreFailed("the disk is gone")

    monkeypatch.setattr(api.database, "read", fail)
    for route in ROUTES:
        reply = api(route.method, route.path.replace("{", "").replace("}", ""), b"{}")
        assert (reply.status, reply.json["code"]) == (503, "store_unavailable")
        assert "the disk is gone" in reply.json["message"]


def test_our_own_mistake_is_500_in_the_same_form(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of our own is an error like the others, and says nothing of its cause."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret cause")

    monkeypatch.setattr(api.database, "read", fail)
    reply = api("GET", "/api/v1/whoami")

    assert (reply.status, reply.json["code"]) == (500, "internal")
    assert "secret cause" not in reply.raw.decode()


def test_too_many_at_once_are_told_to_wait(api: Api) -> None:
    """When more requests wait than may, the rest is told to ask again, and those that waited are answered."""
    import asyncio

    from tests.api.routes.test_events import scope_of

    scope = {**scope_of(api), "method": "GET", "path": "/api/v1/whoami"}

    async def many() -> list[Any]:
        return await asyncio.gather(*(api._exchange(dict(scope), b"") for _ in range(4 * WAITING_MAX)))

    replies = api.run(many())

    assert {reply.status for reply in replies} == {200, 503}
    assert {reply.json["code"] for reply in replies if reply.status == 503} == {"busy"}
    assert api("GET", "/api/v1/whoami").status == 200


def every(api: Api, noun: str) -> list[dict[str, Any]]:
    """Return a whole list."""
    rows: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 1_000}
    while True:
        said = api("GET", f"/api/v1/{noun}", query=query).json
        rows += said[noun]
        if said["next_cursor"] is None:
            return rows
        query["cursor"] = said["next_cursor"]


def now_text() -> str:
    """Return the time."""
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat()
