"""The gateway and `extract` read the same usage from the same answer, in every provider's words, whole and streamed."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.services.stand_in import PATHS, settled, streamed, whole

from pertoken.core.usage import Completeness
from pertoken.services.extract import extract_usage
from pertoken.wire import formats, providers, usage_rules
from pertoken.wire.usage_table import (
    Beside,
    Check,
    Listed,
    Path,
    Stated,
    Term,
    UsageRule,
    UsageTable,
    UsageTableRow,
    Zero,
)


class Exercise(NamedTuple):
    """One row of one table in use: an answer's usage, in the words of one provider."""

    api: str
    provider: str
    row: UsageTableRow
    usage: dict[str, Any]


def _put(usage: dict[str, Any], path: Path, value: object) -> None:
    for key in path[:-1]:
        usage = usage.setdefault(key, {})
    usage[path[-1]] = value


def _terms(row: UsageTableRow) -> tuple[Term, ...]:
    match row:
        case UsageRule() | Beside():
            return row.terms
        case Check():
            return (row.total, *row.parts)
        case Zero():
            return (row.given,)
        case Stated():
            return ((row.path,),)
        case Listed():
            return ()


def _usages(rows: UsageTable, row: UsageTableRow) -> Iterator[dict[str, Any]]:
    """Yield usage objects in which `row` says something: one for each of the places its number may stand at."""
    places = [term[at % len(term)] for term in _terms(row) for at in range(max(map(len, _terms(row))))]
    for place in dict.fromkeys(places) or [()]:
        tells = isinstance(row, Zero) or (isinstance(row, UsageRule) and place in row.terms[0])
        usage: dict[str, Any] = {}
        for unit in ("input_tokens", "output_tokens"):
            for one in [one for one in rows.rules if one.unit == unit and not (tells and unit == row.unit)][:1]:
                _put(usage, one.terms[0][0], 1_000)
        if isinstance(row, Listed):
            usage[row.entries] = [{row.key: row.value, row.tokens: 7}, {row.key: "another", row.tokens: 5}]
        elif isinstance(row, Stated):
            _put(usage, place, 3)
            usage |= {row.only_if: True} if row.only_if else {}
        else:
            is_total = isinstance(row, Zero) or (isinstance(row, Check) and place in row.total)
            _put(usage, place, 1_000 if is_total else 7)
        yield usage


def _exercises() -> Iterator[Exercise]:
    for api in PATHS:
        spoken = {"openai": formats.dialect(api, ""), **formats.BY_NAME[api].dialects}
        for provider, rows in spoken.items():
            kinds = (rows.rules, rows.listed, rows.besides, rows.checks, rows.zeros, rows.stated)
            for row in (row for kind in kinds for row in kind):
                for usage in _usages(rows, row):
                    yield Exercise(api, provider, row, usage)


EXERCISES = [*_exercises()]
every_exercise = pytest.mark.parametrize(
    "exercise", EXERCISES, ids=[f"{one.api}-{one.provider}-{type(one.row).__name__}" for one in EXERCISES]
)


def extracted(api: str, provider: str, answer: bytes, *, stream: bool) -> tuple[dict[str, Any], str]:
    """Return the usage that `extract` finds, seconds rounded up to whole ones as an event keeps them."""
    body, sse = (None, answer.decode()) if stream else (answer, None)
    found = json.loads(msgspec.json.encode(extract_usage(api, provider, body, sse)))
    return found["usage"], found["completeness"]


@every_exercise
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_every_row_is_read_alike(exercise: Exercise, stream: bool) -> None:
    """Each row of each table finds the same units in a gateway call as in `extract`, for each dialect that has it."""
    api, provider = exercise.api, exercise.provider
    if api == "openai.embeddings" and stream:
        pytest.skip("embeddings do not stream")
    answer = (streamed if stream else whole)(api, exercise.usage)
    usage, completeness = extracted(api, provider, answer, stream=stream)
    event = settled(api, provider, answer, stream=stream)
    amounts = [usage.pop(name, None) for name in ("reported_cost", "reported_fee")]

    assert dict(event.quantities) == usage
    assert event.completeness == completeness == Completeness.FINAL
    assert amounts == [None, None] or isinstance(exercise.row, Stated)


def test_every_row_of_every_served_table_is_exercised() -> None:
    """A row that is new in a table that the gateway uses is exercised without anybody adding it here."""
    tables = [formats.dialect(api, "") for api in PATHS]
    tables += [rows for row in formats.ROWS for rows in row.dialects.values()]
    rows = {
        row for one in tables for row in (*one.rules, *one.listed, *one.besides, *one.checks, *one.zeros, *one.stated)
    }

    assert {exercise.row for exercise in EXERCISES} == rows
    assert set(PATHS) == {api for api in formats.SERVED if not api.endswith("count_tokens")} - {"gemini.embed"}


TOKENS = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def three(kind: str) -> list[dict[str, Any]]:
    """Return three output items of a kind, each with a container of its own."""
    return [{"type": kind, "container_id": name, "environment": {"container_id": name}} for name in "abc"]


BESIDE_USAGE = [
    ("web_searches", {"tool_usage": {"web_search": {"num_requests": 3}}}),
    *((unit, {"output": three(kind)}) for kind, (unit, _) in usage_rules.RESPONSES_ITEMS.items()),
]


@pytest.mark.parametrize(("unit", "fields"), BESIDE_USAGE, ids=str)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_responses_tell_beside_usage_is_read_alike(unit: str, fields: dict[str, Any], stream: bool) -> None:
    """What the Responses API bills beside tokens is found by both, in `tool_usage` and by output item."""
    answer = (streamed if stream else whole)("openai.responses", TOKENS, **fields)
    usage, _ = extracted("openai.responses", "openai", answer, stream=stream)

    assert usage[unit] == 3
    assert dict(settled("openai.responses", "openai", answer, stream=stream).quantities) == usage


SEARCHED = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 24,
    "completion_tokens_details": {"reasoning_tokens": 9},
    "server_side_tool_usage_details": {"web_search_calls": 2},
}
NAMES = ["xai", *(name for name, plain in providers.ALSO_CALLED.items() if plain == "xai"), "x_ai"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_provider_speaks_its_dialect_under_each_of_its_names(name: str, stream: bool) -> None:
    """A call to xAI is settled with its searches, whichever of its names it is configured under."""
    event = settled("openai.chat", name, (streamed if stream else whole)("openai.chat", SEARCHED), stream=stream)

    assert event.quantities == {"input_tokens": 10, "output_tokens": 14, "reasoning_tokens": 9, "web_searches": 2}
    assert "web_searches" in {unit for unit, *_ in event.lines}


@pytest.mark.parametrize(("prices_from", "searches"), [(("x-ai",), 2), (("nobody", "x-ai"), 2), (("openai",), None)])
def test_a_provider_of_ones_own_speaks_as_the_one_it_sells(prices_from: tuple[str, ...], searches: int | None) -> None:
    """Under a name that nobody knows, a provider's dialect is that of the provider whose prices it has."""
    from tests.services.stand_in import all_priced

    answer, book = whole("openai.chat", SEARCHED), all_priced("my-grok")
    event = settled("openai.chat", "my-grok", answer, prices_from=prices_from, book=book)

    assert event.quantities.get("web_searches") == searches
