"""APIs that are only read: any bytes give a reading, which may be in doubt."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import examples

from pertoken.core.usage import Completeness, leaves
from pertoken.wire import answers, formats
from pertoken.wire.answers import Api

every_api = pytest.mark.parametrize("api", formats.READ.values(), ids=formats.READ)

_KEYS = (
    "usage response metadata delta meta type done data duration prompt_eval_count eval_count billed_units input_tokens "
    "output_tokens seconds inputTokens id model serviceTier performanceConfig trace promptRouter session"
)
KEYS = _KEYS.split()
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["response.done", "message-end", ""])
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)
BODIES = st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode())


@every_api
@examples(100)
@given(st.lists(BODIES, max_size=4))
def test_nothing_is_raised(api: Api, bodies: list[bytes]) -> None:
    """Any answer and any stream gives a reading with quantities, with a doubt, or without usage; nothing is raised."""
    stream = b"".join(b"data: " + body + b"\n\n" for body in bodies)
    for reading in [answers.read_stream(api, stream), *(answers.read_answer(api, body) for body in bodies)]:
        assert leaves(reading.quantities or {}) is not None
        assert reading.completeness is not Completeness.MISSING or reading.quantities is None


@every_api
@pytest.mark.parametrize("body", [b"", b"[]", b'"usage"', b"{", b'{"usage":{"input_tokens":'])
def test_what_is_no_answer(api: Api, body: bytes) -> None:
    """An answer that is not an object gives no quantities."""
    assert answers.read_answer(api, body).quantities is None
    assert answers.read_stream(api, body).quantities is None


@every_api
def test_deep_answers(api: Api) -> None:
    """An answer with extreme nesting is read like any other."""
    for depth in (150, 900, 980, 995, 5_000):
        body = b'{"type":"response.done","usage":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"

        assert answers.read_answer(api, body).quantities is None
        assert answers.read_stream(api, b"data: " + body + b"\n\n").quantities is None


def test_tier_and_speed_as_served() -> None:
    """The reading has the tier and the speed with which the answer was served, if the answer names them."""
    body = {"usage": {"inputTokens": 1}, "serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "standard"}}
    reading = answers.read_answer(answers.BEDROCK_CONVERSE, json.dumps(body).encode())

    assert (reading.service_tier, reading.speed) == ("flex", "standard")
