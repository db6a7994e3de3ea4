"""Stating prices and taking announced ones back on the control plane."""

from typing import Any

import pytest
from tests.api.conftest import Api, fresh


def stated(**fields: Any) -> dict[str, Any]:
    """Return a price as it is stated."""
    return {"provider": "openai", "model": fresh("model"), "input": "1.5", "output": "6", **fields}


def test_a_stated_price_is_in_force_at_once(api: Api) -> None:
    """A price that was stated is shown with its unit prices, and stating it again adds nothing."""
    body = stated(valid_from="2026-01-01")
    made, again = api("POST", "/api/v1/prices", body), api("POST", "/api/v1/prices", body)

    assert (made.status, made.json["added"], again.json["added"]) == (201, 2, 0)
    assert {row["unit"]: row["per_million"] for row in made.json["prices"]} == {
        "input_tokens": "1.5",
        "output_tokens": "6",
    }
    assert {row["source"] for row in made.json["prices"]} == {"added by hand"}


def test_an_announced_price_is_taken_back_and_one_in_force_is_not(api: Api) -> None:
    """What is not in force yet can be taken back; what has begun stays, and the answer says why."""
    future, past = (
        api("POST", "/api/v1/prices", stated(output=None, valid_from=start)).json["prices"][0]["price_id"]
        for start in ("2999-01-01", "2026-01-01")
    )

    assert api("DELETE", f"/api/v1/announced-prices/{future}").json["withdrawn"] == future
    assert api("DELETE", f"/api/v1/announced-prices/{future}").status == 404
    refused = api("DELETE", f"/api/v1/announced-prices/{past}")
    assert (refused.status, "in force since" in refused.json["message"]) == (404, True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", "-1"),
        ("input", "cheap"),
        ("currency", "XXQ"),
        ("valid_to", "2020-01-01"),
        ("model", " m"),
        ("output", ""),
    ],
)
def test_what_is_no_price_is_refused(api: Api, field: str, value: str) -> None:
    """A price that cannot be is refused with the name of its field, and nothing is added."""
    reply = api("POST", "/api/v1/prices", stated(**{field: value}))

    assert (reply.status, reply.json["param"]) == (422, field)
