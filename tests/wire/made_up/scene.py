"""Uses the made-up format in a copy of the program that has it, and prints the results."""

import asyncio
import json
import sys

from tests.services import stand_in
from tests.wire.simulated import post

import pertoken
from pertoken.cli.count import count
from pertoken.core.bounds import family_of
from pertoken.core.errors import Code, Refusal
from pertoken.core.tally import Snapshot, no_series
from pertoken.counting.requests import count_request, detect
from pertoken.counting.tokenizers import Tokenizers
from pertoken.gateway.gen_ai_metrics import gen_ai_families
from pertoken.gateway.pages import asks_for_page
from pertoken.services.extract import extract_usage
from pertoken.wire import formats, routes

PATH = "/v3/made/m-1/up"
BODY = json.dumps({"question": "hello there", "cap": 5}).encode()


def reported_operation(wire: str) -> str:
    """Return what OpenTelemetry's metrics call a charged call of a format."""
    series = no_series()._replace(costs={"USD": 1})
    families = gen_ai_families(Snapshot(0, {("openai", "m-1", wire): series}, {}, 0, (), 0, {}))
    return next(sample.labels["gen_ai_operation_name"] for family in families for sample in family.samples)


status, answer, served = asyncio.run(post(PATH, BODY))
refused, said, _ = asyncio.run(post(PATH, BODY, api_key=""))
endpoint = routes.find(PATH)
assert endpoint is not None
stand_in.PATHS["made.up"] = ("openai", PATH)
counted = count_request(BODY, "made", "gpt-4o", family_of("gpt-4o"), Tokenizers())
json.dump(
    {
        "source": pertoken.__file__,
        "endpoint": [endpoint.format.name, endpoint.model, endpoint.upstream_path, endpoint.path_for("m-2")],
        "is_hot": routes.is_hot(PATH.encode()),
        "status": status,
        "served": served,
        "extracted": extract_usage("made.up", None, answer, None),
        "other_words": extract_usage("made.up", "mistral", b'{"used":{"prompt_tokens":3,"completion_tokens":4}}', None),
        "settled": dict(stand_in.settled("made.up", "openai", answer, question="hello there").quantities),
        "detected": detect(BODY, "gpt-4o"),
        "counted": [counted.tokens, counted.method],
        "choices": [*count.params[1].type.choices],
        "simulated_error": [refused, json.loads(said)],
        "error": json.loads(routes.format_for_errors(PATH).error(Refusal(Code.UNKNOWN_MODEL, "no such model"))),
        "error_nearby": json.loads(routes.format_for_errors("/v3/made/x").error(Refusal(Code.NOT_FOUND, "no"))),
        "rows": len(formats.ROWS),
        "operation": reported_operation("made.up"),
        "is_page": asks_for_page({"path": PATH, "method": "GET", "headers": [(b"accept", b"text/html")]}),
    },
    sys.stdout,
)
