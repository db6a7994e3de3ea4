"""Rating events again on the control plane."""

from typing import Any

import pytest
from tests.api.conftest import Api, event, fresh

from pertoken.api.routes import reratings
from pertoken.core.access import Role
from pertoken.core.events import Event, EventStatus


def unpriced(api: Api, model: str, count: int = 2) -> None:
    """Report events of a model without a price, and state its price afterwards, from before them on."""
    for _ in range(count):
        made = event(model=model, at="2025-03-01T10:00:00Z")
        assert api("POST", "/api/v1/events", made).status == 200
    body = {"provider": "openai", "model": model, "input": "2", "output": "8", "valid_from": "2025-01-01"}
    assert api("POST", "/api/v1/prices", body).status == 201


def asked(model: str, **fields: Any) -> dict[str, Any]:
    """Return a request for the events of one model."""
    return {"since": "2025-03-01", "until": "2025-03-02", "model": model, **fields}


def test_events_are_corrected_once(api: Api) -> None:
    """Events without a price get corrections that make usage exact; asked again, there is nothing to correct."""
    model = fresh("model")
    unpriced(api, model)

    tried = api("POST", reratings.PATH, asked(model, dry_run=True)).json
    made = api("POST", reratings.PATH, asked(model)).json
    again = api("POST", reratings.PATH, asked(model)).json

    assert (tried["dry_run"], tried["corrections"], made["dry_run"], made["corrections"]) == (True, 2, False, 2)
    assert (again["events"], again["corrections"]) == (2, 0)
    [row] = made["rows"]
    total = api("GET", "/api/v1/usage", query={"since": "2025-03-01", "model": model}).json["total"]
    assert (total["cost"], total["unpriced_calls"], total["calls"]) == (row["after"], 0, 2)
    assert api.differences() == []


def test_a_correction_whose_id_is_taken_is_not_said_to_be_made(api: Api) -> None:
    """Where an event was reported under the id of a correction, the others are made, and the answer names that id."""
    model, name = fresh("model"), fresh("event")
    body = {"provider": "openai", "model": model, "input": "2", "output": "8", "valid_from": "2025-01-01"}
    for event_id in (name, f"{name}.c1"):
        made = event(id=event_id, model=model, at="2025-03-01T10:00:00Z")
        assert api("POST", "/api/v1/events", made).status == 200
    assert api("POST", "/api/v1/prices", body).status == 201

    reply = api("POST", reratings.PATH, asked(model))

    assert (reply.status, reply.json["code"]) == (409, "event_conflict")
    assert f"{name}.c1" in reply.json["message"]
    total = api("GET", "/api/v1/usage", query={"since": "2025-03-01", "model": model}).json["total"]
    assert (total["unpriced_calls"], total["calls"]) == (1, 2)
    assert api.differences() == []


class CostPlus:
    """Charges customers a fifth more than a call costs, and nobody where that is not known."""

    def price(self, event: Event) -> int | None:
        """Return the price of one event."""
        return None if event.status is not EventStatus.PRICED else event.cost_picos * 120 // 100


def test_customers_are_charged_what_is_decided(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that are reported, and their corrections, carry the price of the control plane's pricing."""
    monkeypatch.setattr(api.plane, "pricing", CostPlus())
    model = fresh("model")
    unpriced(api, model)
    api("POST", reratings.PATH, asked(model))
    made = event(model=model, at="2025-03-01T11:00:00Z")
    assert api("POST", "/api/v1/events", made).status == 200
    total = api("GET", "/api/v1/usage", query={"since": "2025-03-01", "model": model}).json["total"]

    assert (total["calls"], total["cost"], total["price"]) == (3, "0.0084", "0.01008")
    assert api.differences() == []


def test_who_rates_again_is_written_down(api: Api) -> None:
    """Corrections leave a record of who asked for them; a dry run, and one without corrections, leave none."""
    model = fresh("model")
    unpriced(api, model)
    before = api("GET", "/api/v1/audit", query={"limit": "1"}).json["changes"]
    api("POST", reratings.PATH, asked(model, dry_run=True))
    assert api("GET", "/api/v1/audit", query={"limit": "1"}).json["changes"] == before

    api("POST", reratings.PATH, asked(model))
    api("POST", reratings.PATH, asked(model))
    newest, second = api("GET", "/api/v1/audit", query={"limit": "2"}).json["changes"]

    assert (newest["object"], newest["after"]["corrections"], newest["through"]) == (reratings.PATH, 2, "api")
    assert second == before[0]


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"since": "soon"}, 400, "since"),
        ({"until": "2024-01-01"}, 422, "until"),
        ({"until": "2025-03-01T00:00:00Z"}, 422, "until"),
        ({"since": 5}, 422, "since"),
        ({"model": ""}, 422, "model"),
        ({"dry_run": "yes"}, 422, "dry_run"),
    ],
)
def test_what_is_no_range_is_refused(api: Api, fields: dict[str, Any], status: int, param: str) -> None:
    """A request that cannot be understood is refused with the name of its field."""
    reply = api("POST", reratings.PATH, {**asked("m"), **fields})

    assert (reply.status, reply.json["param"]) == (status, param)


@pytest.mark.parametrize("name", ["CALLS_MAX", "READ_MAX"])
def test_a_range_of_too_many_calls_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A range that one request cannot hold is refused with what to do, and nothing is corrected."""
    model = fresh("model")
    unpriced(api, model)
    monkeypatch.setattr(reratings, name, 1)
    reply = api("POST", reratings.PATH, asked(model))

    assert (reply.status, reply.json["param"]) == (422, "since")
    assert "pertoken rerate" in reply.json["message"]
    assert api("GET", "/api/v1/usage", query={"since": "2025-03-01", "model": model}).json["total"]["unpriced_calls"]


def test_only_the_calls_that_are_asked_for_count(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many calls of other models in the range do not refuse a request for one model that has few."""
    model = fresh("model")
    unpriced(api, fresh("other"), 3)
    unpriced(api, model)
    monkeypatch.setattr(reratings, "CALLS_MAX", 2)

    assert api("POST", reratings.PATH, asked(model)).json["corrections"] == 2
    refused = api("POST", reratings.PATH, {**asked(model), "model": None})
    assert (refused.status, refused.json["param"]) == (422, "since")


def test_only_an_admin_rates_again(api: Api) -> None:
    """A team owner, who may see one team alone, is refused."""
    assert api.as_role(Role.TEAM_OWNER)("POST", reratings.PATH, asked("m")).status == 403


def test_calls_of_every_currency_count_to_the_limit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A range whose calls are more than the limit in all currencies together is refused, though each has fewer."""
    model = fresh("model")
    for currency, day in (("EUR", "01"), ("USD", "02")):
        body = {"provider": "openai", "model": f"{model}-{currency}", "input": "1", "currency": currency}
        assert api("POST", "/api/v1/prices", {**body, "valid_from": "2023-01-01"}).status == 201
        for _ in range(2):
            reported = event(model=f"{model}-{currency}", at=f"2023-03-{day}T10:00:00Z")
            assert api("POST", "/api/v1/events", reported).status == 200
    monkeypatch.setattr(reratings, "CALLS_MAX", 3)

    refused = api("POST", reratings.PATH, {"since": "2023-03-01", "until": "2023-03-03"})

    assert refused.status == 422
    assert "more than 3 calls are asked for" in refused.raw.decode()
