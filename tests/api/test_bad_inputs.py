import json
from typing import Any

import pytest
from tests.api.conftest import Api
from tests.bad_inputs import lacking, rows


@pytest.mark.parametrize("row", rows("api"))
def test_requests(api: Api, row: dict[str, Any]) -> None:
    """A bad request is refused with its status, in words that name what is wrong and what to do; nothing is changed."""
    method, path = row["call"].split(" ", 1)
    body = row["raw"].encode() if "raw" in row else row.get("body")
    answer = api(method, path.replace("%20", " "), body, query=row.get("query"))
    statuses = row["status"] if isinstance(row["status"], list) else [row["status"]]

    assert answer.status in statuses, answer.raw
    assert lacking(row, json.dumps(answer.json, ensure_ascii=False)) == [], answer.json
    listed = api("GET", "/api/v1/budgets").json["budgets"]
    assert [one["name"] for one in listed if one["name"].strip() in ("b", "")] == []
