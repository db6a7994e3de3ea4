"""Embeddings: facts, tokens given as numbers, usage."""

import json

import pytest

from pertoken.core.facts import RequestFacts
from pertoken.core.usage import Completeness, leaves
from pertoken.wire import openai_embeddings
from pertoken.wire.format import BadRequest, Format, RequestChange

FORMAT: Format = openai_embeddings


def _body(given: object) -> bytes:
    return json.dumps({"model": "text-embedding-3-small", "input": given, "user": "u"}).encode()


def test_facts() -> None:
    """An embedding has no output."""
    facts = openai_embeddings.read_request(_body("hi"))

    assert facts == RequestFacts(model="text-embedding-3-small", output_max=0, user="u")


@pytest.mark.parametrize("body", [b"{}", b'{"model":"m"}', b'{"input":"x"}', b"[]"])
def test_no_request(body: bytes) -> None:
    """A request without model or input is refused."""
    with pytest.raises(BadRequest):
        openai_embeddings.read_request(body)


@pytest.mark.parametrize(
    ("given", "texts", "numbers"),
    [
        ("one", ["one"], 0),
        (["one", "two"], ["one", "two"], 0),
        ([1, 2, 3], [], 3),
        ([[1, 2], [3], []], [], 3),
        ([True, None, 1.5], [], 0),
        (None, [], 0),
    ],
)
def test_content(given: object, texts: list[str], numbers: int) -> None:
    """Texts are collected; a token given as a number counts as one token."""
    content = openai_embeddings.read_content(_body(given))

    assert content.texts == (*texts, " a" * numbers)


def test_rewrite() -> None:
    """Only the model can change."""
    body = b'{"model":"a", "input" : [ 1 ]}'

    assert openai_embeddings.rewrite(body, RequestChange("b", 3)) == b'{"model":"b","input":[ 1 ]}'
    assert openai_embeddings.rewrite(body, RequestChange(output_max=3)) is body


@pytest.mark.parametrize(
    ("usage", "quantities", "completeness"),
    [
        (
            {"prompt_tokens": 8, "total_tokens": 8},
            {"input_tokens": 8, "output_tokens": 0},
            Completeness.FINAL,
        ),
        ({"prompt_tokens": 0}, {"input_tokens": 0, "output_tokens": 0}, Completeness.FINAL),
        ({}, None, Completeness.MISSING),
        (None, None, Completeness.MISSING),
    ],
)
def test_usage(usage: object, quantities: dict[str, int] | None, completeness: Completeness) -> None:
    """All tokens are input, and the output is zero."""
    answer = {"object": "list", "model": "text-embedding-3-small", "data": [], "usage": usage}
    reading = openai_embeddings.read_answer(json.dumps(answer).encode())

    assert (reading.quantities, reading.completeness) == (quantities, completeness)
    assert reading.model == "text-embedding-3-small"


@pytest.mark.parametrize("usage", [{"prompt_tokens": 8, "total_tokens": 9}, {"prompt_tokens": -8}, [], "x"], ids=str)
def test_contradictory_usage(usage: object) -> None:
    """Contradictory usage is kept and marked, and the quantities that are read from it add up."""
    reading = openai_embeddings.read_answer(json.dumps({"usage": usage}).encode())

    assert reading.contradiction or reading.note
    assert leaves(reading.quantities or {}) is not None
    assert json.loads(reading.raw) == usage
