"""What the OpenAPI document says is what the control plane does: schemathesis asks a real gateway process."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from tests.api.conftest import ROOT_KEY, SECRET_KEY, Api
from tests.conftest import DEEP, STORES, MakeDatabase, deep, with_prices
from tests.e2e.conftest import start

from pertoken.api.problem import MEANINGS
from pertoken.api.table import ROUTES

# What frames a request on the wire: one that is malformed there is no request, and answered before the document counts.
FRAMING = frozenset({"connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"})
# Refusals of requests whose every part is as the document says: no schema knows the time, a time zone that this machine
# has, what parts come to together, or which cursors there are. The one check that expects such a request to be taken is
# left out for these; all others hold for them, too.
BEYOND_A_SCHEMA = re.compile(
    "not a cursor of this list|must be before the end|unknown time zone|the role [a-z_]+ (needs|takes no)"
    "|must expire in the future|not a limit on|no key |is less than its parts|this would cost|unknown currency"
    "|not a valid daily amount"
    "|begins or ends with a blank|has an invisible character|composed form|mixes scripts in a word|unknown provider"
    "|until must be after since|not a price: |the price must end after it begins"
    "|^line [0-9]+: |not valid yaml: |no version of plan |`from` must not be past|customer .* (is closed|is billed in )"
    "|a customer cannot begin later than now|parent"
)
EXAMPLES = int(os.environ.get("PERTOKEN_API_EXAMPLES", "15" if DEEP else "5"))  # of each route


class RootKey:
    """How schemathesis authenticates: a check takes it away again and expects a refusal."""

    def get(self, _case: schemathesis.Case, _context: schemathesis.AuthContext) -> str:
        """Return the bearer token."""
        return f"Bearer {ROOT_KEY}"

    def set(self, case: schemathesis.Case, data: str, _context: schemathesis.AuthContext) -> None:
        """Send it with a request."""
        case.headers = {**(case.headers or {}), "Authorization": data}


@pytest.fixture(scope="module", params=STORES)
def schema(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[schemathesis.schemas.BaseSchema]:
    """Return the document that a running gateway serves."""
    folder = tmp_path_factory.mktemp("schema")
    environ = {
        "PERTOKEN_DATABASE_URL": make_database(request.param, folder, with_prices),
        "PERTOKEN_ADMIN_KEY": ROOT_KEY,
        "PERTOKEN_SECRET_KEY": SECRET_KEY,
    }
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, folder / "gateway.log")
    document = schemathesis.openapi.from_url(f"{gateway.url}/api/openapi.json")
    document.auth()(RootKey)
    yield document
    gateway.stop()
    assert "Traceback" not in Path(gateway.log).read_text()


@deep
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_answers_conform(schema: schemathesis.schemas.BaseSchema, route: object, mode: str) -> None:
    """Whatever is sent, good or bad, the document describes the answer: all checks that schemathesis has agree."""
    operation = schema[route.path][route.method]  # type: ignore[attr-defined]
    strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))

    @hypothesis.given(case=strategy)
    @hypothesis.settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(hypothesis.HealthCheck))
    def ask(case: schemathesis.Case) -> None:
        for name in [name for name in case.headers if name.lower() in FRAMING]:
            del case.headers[name]
        response = case.call()
        known = BEYOND_A_SCHEMA.search(response.json()["message"]) if response.status_code in (400, 422) else None
        left_out = [] if known is None else [positive_data_acceptance]
        if response.status_code in {413, 414}:  # as much a refusal as any, but not to schemathesis
            left_out.append(negative_data_rejection)
        case.validate_response(response, excluded_checks=left_out)

    ask()


def test_the_document_needs_no_key(api: Api) -> None:
    """The document is served to everybody, and is OpenAPI 3.1 with every route and the secret of none."""
    reply = api("GET", "/api/openapi.json", authorization=None)

    assert reply.status == 200
    assert reply.json["openapi"] == "3.1.0"
    described = {f"{method.upper()} {path}" for path, methods in reply.json["paths"].items() for method in methods}
    assert described == {f"{route.method} {route.path}" for route in ROUTES}
    assert ROOT_KEY not in reply.raw.decode()
    assert api("POST", "/api/openapi.json").headers["allow"] == "GET"


def test_the_document_bounds_each_whole_number(api: Api) -> None:
    """Each whole number that a request may hold has a least and a largest value in the document, as the code has."""
    document = api("GET", "/api/openapi.json").json
    unbounded, pending = [], [("", document["paths"])]
    seen: set[str] = set()
    while pending:
        place, part = pending.pop()
        if isinstance(part, list):
            pending += [(f"{place}/{number}", one) for number, one in enumerate(part)]
        if not isinstance(part, dict):
            continue
        if part.get("type") == "integer" and not {"minimum", "maximum"} <= part.keys():
            unbounded.append(place)
        if (name := str(part.get("$ref", "")).rpartition("/")[2]) and name not in seen:
            seen.add(name)
            pending.append((name, document["components"]["schemas"][name]))
        pending += [(f"{place}/{key}", one) for key, one in part.items() if key != "responses"]

    assert unbounded == []


def test_an_error_leads_to_its_meaning(api: Api) -> None:
    """An error has exactly the five fields, and its doc_url is a place in the document that says what it means."""
    error = api("GET", "/api/v1/keys/none").json
    document = api("GET", "/api/openapi.json").json
    place = document
    for step in error["doc_url"].partition("#/")[2].split("/"):
        place = place[step]

    assert list(error) == ["type", "code", "message", "param", "doc_url"]
    assert place["status"] == 404
    assert set(document["x-errors"]) == set(MEANINGS)
