"""Usage of every API's answers, whole and streamed: the cases of `extract/`, and what holds for all of them."""

import json
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.cases import CASES, Case, read

from pertoken.core.usage import leaves
from pertoken.services.extract import CannotExtract, extract_usage
from pertoken.wire import providers
from pertoken.wire.formats import EXTRACTED


def extract(api: str, provider: str | None, *, body: Any = None, sse: str | None = None) -> dict[str, Any]:
    """Return what a caller of the command line gets."""
    found = extract_usage(api, provider, None if body is None else json.dumps(body).encode(), sse)
    return dict(json.loads(msgspec.json.encode(found)))


def each(cases: list[Case]) -> Callable[..., Any]:
    """Run a test with each case."""
    return pytest.mark.parametrize("case", cases, ids=str)


READ = [case for case in CASES if case.out.usage is not None]
WHOLE = [case for case in READ if case.given.sse is None]
STREAMED = [case for case in READ if case.given.sse is not None]
COUNTED = [case for case in CASES if case.counts]


@each(READ)
def test_usage(case: Case) -> None:
    """Each provider's usage comes out inclusive, as it was served, whole or streamed, and nothing else does."""
    one = case.given
    found = extract_usage(one.api, one.provider, one.body_bytes, one.sse)

    assert json.loads(msgspec.json.encode(found)) == case.out.answer()


@each([case for case in CASES if case.out.error is not None])
def test_contradictions(case: Case) -> None:
    """Repeated keys, two places that differ, parts above their total, amounts that are none: an error, no number."""
    one = case.given
    with pytest.raises(CannotExtract) as caught:
        extract_usage(one.api, one.provider, one.body_bytes, one.sse)

    assert caught.value.code == case.out.error
    assert case.out.message in str(caught.value)


def test_every_api_has_a_case() -> None:
    """No API is without a worked answer."""
    assert {case.given.api for case in WHOLE} == set(EXTRACTED)


GOOD = "- {case: A holds, in: {api: a, body: {}}, out: {usage: {}}}"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("", "no cases"),
        ("# nothing yet", "no cases"),
        ("- {case: B holds, in: {api: a, body: {}}, out: {usage: {}}, note: x}", "unknown field `note`"),
        ("- {case: B holds, in: {api: a, body: {}, model: m}, out: {usage: {}}}", "unknown field `model`"),
        ("- {case: B holds, in: {api: a, body: {}}, out: {usage: {}, tier: x}}", "unknown field `tier`"),
        ("- {case: B holds, in: {api: a}, out: {usage: {}}}", "either body or sse"),
        ("- {case: B holds, in: {api: a, body: {}, sse: x}, out: {usage: {}}}", "either body or sse"),
        ("- {case: B holds, in: {api: a, body: {}}, out: {}}", "either usage or error"),
        ("- {case: B holds, in: {api: a, body: {n: 1, n: 2}}, out: {usage: {}}}", "repeated key"),
        (GOOD, "repeated names"),
    ],
)
def test_a_bad_file_of_cases_fails(tmp_path: Path, bad: str, why: str) -> None:
    """An empty file, an unknown or repeated key and a repeated name are errors, so no case is lost."""
    (tmp_path / "a.yaml").write_text(GOOD)

    assert [str(case) for case in read(tmp_path)] == ["a: A holds"]
    (tmp_path / "b.yaml").write_text(bad)
    with pytest.raises(ValueError, match=why):
        read(tmp_path)


def _shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(value)}
    return [_shuffled(one) for one in value] if isinstance(value, list) else value


@each(WHOLE)
def test_the_order_of_keys_says_nothing(case: Case) -> None:
    """Objects with the same keys in another order are the same objects."""
    one = case.given

    assert extract(one.api, one.provider, body=_shuffled(one.body)) == case.out.answer()


@each(READ)
def test_parts_never_exceed_their_totals(case: Case) -> None:
    """What comes out can be split into disjoint parts."""
    told = case.out.usage or {}
    usage: Any = {unit: quantity for unit, quantity in told.items() if unit not in ("reported_cost", "seconds")}

    assert sum(leaves(usage).values()) >= 0


@pytest.mark.parametrize("provider", [None, *sorted(providers.PROVIDERS), *sorted(providers.ALSO_CALLED)])
def test_every_provider_is_read(provider: str | None) -> None:
    """Every provider's name is taken, its other names too, and so is none."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}

    assert extract("openai.chat", provider, body={"usage": usage})["usage"] == {"input_tokens": 10, "output_tokens": 5}


@pytest.mark.parametrize(
    ("api", "provider", "body", "code"),
    [
        ("openai.poems", "openai", {}, "unknown_api"),
        (None, "openai", {}, "unknown_api"),
        (7, "openai", {}, "unknown_api"),
        ("openai.chat", "nobody", {}, "unknown_provider"),
        ("openai.chat", "", {}, "unknown_provider"),
        ("openai.chat", 7, {}, "unknown_provider"),
        ("openai.chat", ["openai"], {}, "unknown_provider"),
        ("openai.chat", "openai", None, "invalid_line"),
    ],
)
def test_what_cannot_be_read(api: Any, provider: Any, body: Any, code: str) -> None:
    """A line that names an API or a provider that nobody knows, or has no answer, says so by its code."""
    with pytest.raises(CannotExtract) as caught:
        extract(api, provider, body=body)

    assert caught.value.code == code


def _set(body: Any, path: str, value: object) -> Any:
    """Return a copy of `body` with one field set."""
    copy = json.loads(json.dumps(body))
    *outer, last = path.split(".")
    reduce(dict.__getitem__, outer, copy)[last] = value
    return copy


NO_COUNT = [-1, "5", True, False, 1.5, [], 10**13, 2**70]
every_count = pytest.mark.parametrize(
    ("case", "path"), [(case, path) for case in COUNTED for path in case.counts], ids=str
)


@pytest.mark.parametrize("value", NO_COUNT, ids=str)
@every_count
def test_no_counts(case: Case, path: str, value: object) -> None:
    """What is no count, in a part or in a total, contradicts; it is never clamped or guessed at."""
    for place in (path, case.total) if case.total else (path,):
        with pytest.raises(CannotExtract) as caught:
            extract(case.given.api, None, body=_set(case.given.body, place, value))

        assert caught.value.code == "contradictory_usage"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400], ids=["large", "small", "long"])
@every_count
def test_numbers_past_all_bounds(case: Case, path: str, number: str) -> None:
    """A number that no machine holds contradicts like any other that is no count."""
    text = json.dumps(_set(case.given.body, path, "HERE")).replace('"HERE"', number)
    with pytest.raises(CannotExtract) as caught:
        extract_usage(case.given.api, None, text.encode(), None)

    assert caught.value.code == "contradictory_usage"


@each([case for case in COUNTED if case.total])
@pytest.mark.parametrize("added", [-1, 1])
def test_totals_that_do_not_add_up(case: Case, added: int) -> None:
    """One token less than the sum of the parts is an error; one more belongs to the output, and is noted."""
    total = case.total or ""
    told: Any = reduce(dict.__getitem__, total.split("."), case.given.body)
    assert isinstance(told, int)
    changed = _set(case.given.body, total, told + added)
    if added < 0:
        with pytest.raises(CannotExtract, match="is not the sum of its parts"):
            extract(case.given.api, None, body=changed)
        return
    plain, found = extract(case.given.api, None, body=case.given.body), extract(case.given.api, None, body=changed)
    rest = "input_tokens" if case.given.api == "openai.embeddings" else "output_tokens"  # vectors are no tokens

    assert "is not the sum of its parts" in found["note"]
    assert found["usage"][rest] == plain["usage"][rest] + 1
    assert found["completeness"] == "final"


def test_every_api_has_a_count() -> None:
    """No API is without a count that is broken on purpose."""
    assert {case.given.api for case in COUNTED} == set(EXTRACTED)


@pytest.mark.parametrize("api", EXTRACTED)
@pytest.mark.parametrize("body", [{}, {"usage": None, "usageMetadata": None}, {"error": {"message": "overloaded"}}])
def test_no_usage_is_missing(api: str, body: dict[str, Any]) -> None:
    """An answer without usage has none: no zeros are made up."""
    found = extract(api, None, body=body)

    assert (found["completeness"], found["usage"]) == ("missing", {})


@each(STREAMED)
def test_a_cut_never_raises_and_never_adds(case: Case) -> None:
    """Wherever a stream is cut, it is read, and no quantity is more than that of the whole."""
    sse, usage = case.given.sse or "", case.out.usage or {}
    step = 1 if len(sse) < 1_000 else 3
    for place in range(0, len(sse), step):
        found = extract(case.given.api, case.given.provider, sse=sse[:place])

        assert all(quantity <= usage.get(unit, 0) for unit, quantity in found["usage"].items()), place
        if case.given.api != "openai.realtime" and "serverContent" not in sse:  # a session has no end of its own
            assert found["completeness"] != "final" or found["usage"] == usage


def test_usage_may_rise_in_a_stream() -> None:
    """A chunk may add tokens to what an earlier one told, even after a chunk that could have been the last."""
    chunk = 'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":%d}}\n\n'

    assert extract("openai.chat", None, sse=chunk % 5 + chunk % 6 + "data: [DONE]\n\n")["usage"]["output_tokens"] == 6


COUNT = st.none() | st.integers(0, 50)
_FIELDS = (
    "prompt_tokens completion_tokens total_tokens input_tokens output_tokens reasoning_tokens citation_tokens seconds "
    "cached_tokens cache_creation_input_tokens cache_read_input_tokens promptTokenCount candidatesTokenCount "
    "thoughtsTokenCount toolUsePromptTokenCount totalTokenCount cachedContentTokenCount inputTokens outputTokens "
    "totalTokens cacheReadInputTokens cacheWriteInputTokens prompt_eval_count eval_count audio_tokens image_tokens "
    "text_tokens thinking_tokens"
)
FIELDS = _FIELDS.split()
INNER = [
    "prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details",
    "input_token_details", "billed_units", "tokens", "cache_creation",
]  # fmt: skip
FLAT = st.dictionaries(st.sampled_from(FIELDS), COUNT, max_size=8)
USAGES = st.tuples(FLAT, st.dictionaries(st.sampled_from(INNER), FLAT, max_size=3)).map(
    lambda two: {**two[0], **two[1]}
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(EXTRACTED)), st.sampled_from([None, "xai", "perplexity", "mistral", "deepseek"]), USAGES)
def test_whatever_is_told_adds_up(api: str, provider: str | None, usage: dict[str, Any]) -> None:
    """Any usage is a contradiction, or its parts are within their totals; the order of its keys says nothing."""
    body = {**usage, "usage": usage, "usageMetadata": usage}
    try:
        found = extract(api, provider, body=body)
    except CannotExtract as error:
        assert error.code == "contradictory_usage"
        with pytest.raises(CannotExtract):
            extract(api, provider, body=_shuffled(body))
        return

    assert extract(api, provider, body=_shuffled(body)) == found
    units = {unit: quantity for unit, quantity in found["usage"].items() if unit != "seconds"}
    assert all(quantity >= 0 for quantity in leaves(units).values())
