import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Pertoken, WriteLines

USAGE = {"input_tokens": 2_600, "cache_read_tokens": 2_000, "cache_write_tokens": 400, "output_tokens": 300}


def stated(**fields: Any) -> dict[str, Any]:
    """Return a line for `rate`: gpt-4o-mini, 1,000,000 input tokens, 0.15 USD."""
    usage = {"input_tokens": 1_000_000}
    line = {"id": 1, "provider": "openai", "model": "gpt-4o-mini", "usage": usage, "at": "2026-11-01T00:00:00Z"}
    return {**line, **fields}


ANSWERS = [
    (
        "openai.chat",
        {
            "model": "gpt-4o-mini",
            "service_tier": "default",
            "choices": [],
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
        },
        {"input_tokens": 10, "cache_read_tokens": 4, "output_tokens": 5, "reasoning_tokens": 3},
    ),
    (
        "openai.responses",
        {
            "model": "gpt-5.6-sol",
            "service_tier": "priority",
            "status": "completed",
            "output": [],
            "usage": {
                "input_tokens": 2600,
                "input_tokens_details": {"cached_tokens": 2000, "cache_write_tokens": 400},
                "output_tokens": 300,
                "output_tokens_details": {"reasoning_tokens": 200},
                "total_tokens": 2900,
            },
        },
        {**USAGE, "reasoning_tokens": 200},
    ),
    (
        "openai.embeddings",
        {"model": "text-embedding-3-small", "data": [], "usage": {"prompt_tokens": 7, "total_tokens": 7}},
        {"input_tokens": 7, "output_tokens": 0},
    ),
    (
        "anthropic.messages",
        {
            "model": "claude-opus-5-5",
            "stop_reason": "end_turn",
            "usage": {
                "input_tokens": 100,
                "cache_creation_input_tokens": 1000,
                "cache_read_input_tokens": 5000,
                "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400},
                "output_tokens": 200,
                "server_tool_use": {"web_search_requests": 2},
                "service_tier": "standard",
            },
        },
        {
            "input_tokens": 6100,
            "cache_read_tokens": 5000,
            "cache_write_tokens": 1000,
            "cache_write_1h_tokens": 400,
            "output_tokens": 200,
            "web_searches": 2,
        },
    ),
    (
        "gemini.generate",
        {
            "modelVersion": "gemini-2.5-pro",
            "candidates": [{"finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": 250000,
                "cachedContentTokenCount": 50000,
                "candidatesTokenCount": 1000,
                "thoughtsTokenCount": 3000,
                "totalTokenCount": 254000,
            },
        },
        {"input_tokens": 250000, "cache_read_tokens": 50000, "output_tokens": 4000, "reasoning_tokens": 3000},
    ),
]


@pytest.mark.parametrize(("api", "body", "usage"), ANSWERS, ids=[api for api, _, _ in ANSWERS])
def test_extract_reads_every_api(bare: Pertoken, api: str, body: dict[str, Any], usage: dict[str, Any]) -> None:
    """An answer's usage comes out inclusive, with the model that served it, and the line's id."""
    (found,) = bare.lines("extract", stdin=[{"id": "x", "api": api, "provider": "openai-compatible", "body": body}])

    assert found == {
        "id": "x",
        "provider": "openai-compatible",
        "model": body.get("model", body.get("modelVersion")),
        "service_tier": body.get("service_tier", body.get("usage", {}).get("service_tier")),
        "completeness": "final",
        "usage": usage,
    }


def test_extract_reads_streams(bare: Pertoken) -> None:
    """A streamed answer's usage is its last word; without one it is missing, and nothing is made up."""
    chunk = {"model": "gpt-4o", "choices": [{"delta": {"content": "hi"}}]}
    last = {"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    whole = f"data: {json.dumps(chunk)}\n\ndata: {json.dumps(last)}\n\ndata: [DONE]\n\n"
    cut = f"data: {json.dumps(chunk)}\n\n"
    lines = [{"id": ident, "api": "openai.chat", "sse": sse} for ident, sse in (("whole", whole), ("cut", cut))]
    found = bare.lines("extract", "--json", stdin=lines)

    assert [(line["completeness"], line["usage"]) for line in found] == [
        ("final", {"input_tokens": 3, "output_tokens": 1}),
        ("missing", {}),
    ]


def test_a_bad_line_is_answered_and_the_rest_done(bare: Pertoken) -> None:
    """Each bad line has an error with its id and its number; the others are answered; the end is exit 1."""
    good = {"id": 1, "api": "openai.embeddings", "body": {"model": "m", "usage": {"prompt_tokens": 7}}}
    doubtful = {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens": 0}
    lines: list[Any] = [
        good,
        "not json",
        "",
        {"id": 4, "api": "nobody.knows", "body": {}},
        {"id": 5, "api": "openai.chat", "body": {"usage": doubtful}},
        {"id": 6, "api": "openai.chat"},
        "[1, 2]",
        "[" * 100_000,
        {**good, "id": 9},
    ]
    found = bare.lines("extract", stdin=lines, code=1)
    codes = [(line["id"], line["error"]["code"] if "error" in line else "done") for line in found]

    assert codes == [
        (1, "done"),
        (None, "invalid_json"),
        (4, "unknown_api"),
        (5, "contradictory_usage"),
        (6, "invalid_line"),
        (None, "invalid_line"),
        (None, "invalid_json"),
        (9, "done"),
    ]
    assert [line["error"]["message"].partition(":")[0] for line in found if "error" in line] == [
        f"line {number}" for number in (2, 4, 5, 6, 7, 8)
    ]


def test_what_is_no_json_but_some_write(bare: Pertoken) -> None:
    """NaN where a count is due contradicts, elsewhere it is nothing; a stream cut inside a letter is read."""
    body = '{"id":%s,"api":"openai.chat","provider":"openai","body":{"x":%s,"usage":{"prompt_tokens":%s}}}'
    sse = 'data: {\\"choices\\":[],\\"usage\\":{\\"prompt_tokens\\":1}}\\n\\ndata: \\ud83d'
    lines: list[Any] = [
        body % (1, "null", "NaN"),
        body % (2, "-Infinity", "1"),
        body % (3, "1e999", "1e999"),
        body % (4, "NaN", "1e999"),
        '{"id":5,"api":"openai.chat","sse":"' + sse + '"}',
        '{"id":6,"x":NaN,',
    ]
    found = bare.lines("extract", stdin=lines, code=1)

    assert [(line["id"], line.get("usage"), line.get("error", {}).get("code")) for line in found] == [
        (1, None, "contradictory_usage"),
        (2, {"input_tokens": 1}, None),
        (3, None, "contradictory_usage"),
        (4, None, "contradictory_usage"),
        (5, {"input_tokens": 1}, None),
        (None, None, "invalid_json"),
    ]


def test_an_unknown_provider_is_an_error_of_its_line(bare: Pertoken) -> None:
    """A provider that nobody knows may count in ways that nobody knows: its line fails, the next is read."""
    body = {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    lines = [{"id": name, "api": "openai.chat", "provider": name, "body": body} for name in ("nobody", "X-AI")]
    found = bare.lines("extract", stdin=lines, code=1)

    assert found[0]["error"]["code"] == "unknown_provider"
    assert found[1]["usage"] == {"input_tokens": 3, "output_tokens": 1}


def test_fractions_of_a_second_keep_their_digits(bare: Pertoken) -> None:
    """Seconds come out as they were written, digit by digit, and whole ones as whole numbers."""
    line = '{"id":1,"api":"openai.transcription","body":{"usage":{"type":"duration","seconds":%s}}}'
    seconds = ["8.470000267028809100", "9", "9.0", "0.1"]
    result = bare("extract", stdin="\n".join(line % one for one in seconds))

    assert [one.partition('"seconds":')[2].rstrip("}") for one in result.stdout.splitlines()] == [
        "8.470000267028809100",
        "9",
        "9",
        "0.1",
    ]


def test_how_many_lines_failed_is_said_on_stderr(bare: Pertoken) -> None:
    """Answers stay alone on stdout; the count goes to stderr."""
    result = bare("extract", stdin="nope\nnope\n", code=1)

    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == "2 lines failed\n"


def test_rate_works_before_anything_is_installed(bare: Pertoken, tmp_path: Path) -> None:
    """Without a database the shipped prices are used, and none is made."""
    (found,) = bare.lines("rate", stdin=[stated()])

    assert (found["status"], found["currency"], found["cost"]) == ("priced", "USD", "0.15")
    assert not (tmp_path / "pertoken.db").exists()


def test_rate_uses_the_databases_prices(pertoken: Pertoken) -> None:
    """Where there is a database, its price book decides."""
    pertoken("price", "add", "--provider", "openai", "--model", "gpt-4o-mini", "--input", "9", "--from", "2026-01-01")
    (found,) = pertoken.lines("rate", stdin=[stated()])

    assert found["cost"] == "9"


COSTS: list[tuple[dict[str, Any], str]] = [
    # worked by hand: 200 x 4 + 2,000 x 0.4 + 400 x 5 + 300 x 20 = 9,600 millionths
    (stated(model="gpt-5.6-sol", usage={**USAGE, "reasoning_tokens": 200}), "0.0096"),
    (stated(model="gpt-5.6-sol", usage=USAGE, service_tier="priority"), "0.0192"),
    (stated(at="2026-11-01T00:00:00.123456789Z"), "0.15"),  # fractions of a second may be any number of digits
    (stated(at="2026-11-01T02:00:00+02:00"), "0.15"),
    (stated(at="2026-11-20T00:00:00Z", batch=True), "0.075"),
    (stated(usage={"input_tokens": 0}), "0"),  # a stated zero is a zero
    (stated(usage={"input_tokens": 10.0, "output_tokens": None}), "0.0000015"),
]


def test_rate_is_exact(bare: Pertoken) -> None:
    """Costs are exact decimals; every line's quantity x price per million / 1,000,000 is its amount."""
    found = bare.lines("rate", stdin=[line for line, _ in COSTS])

    assert [(one["status"], one["cost"]) for one in found] == [("priced", cost) for _, cost in COSTS]
    for one in found:
        assert sum(Decimal(line["amount"]) for line in one["lines"]) == Decimal(one["cost"])
        for line in one["lines"]:
            assert line["quantity"] * Decimal(line["unit_price_per_million"]) / 10**6 == Decimal(line["amount"])
            assert line["price_id"]


WITHOUT_A_PRICE = [
    stated(model="nobody-knows"),
    stated(provider="nobody"),
    stated(service_tier="platinum"),
    stated(at="2026-11-01T00:00:00Z", model="gpt-4o-mini", usage={"pages": 3}),
]


def test_what_has_no_price_is_unpriced_and_no_error(bare: Pertoken) -> None:
    """A well-formed line without a price has a reason and no cost; the exit is 0."""
    found = bare.lines("rate", stdin=WITHOUT_A_PRICE)

    assert [one["status"] for one in found] == ["unpriced"] * len(WITHOUT_A_PRICE)
    assert all(one["reason"] and "cost" not in one for one in found)


NO_USAGE: list[tuple[dict[str, Any], str]] = [
    (stated(usage={"input_tokens": 10, "cache_read_tokens": 20}), "contradictory_usage"),
    (stated(usage={"input_tokens": -1}), "invalid_line"),
    (stated(usage={"input_tokens": 1.5}), "invalid_line"),
    (stated(usage={"input_tokens": True}), "invalid_line"),
    (stated(usage={"gallons": 1}), "invalid_line"),
    (stated(usage=None), "invalid_line"),
    (stated(model=None), "invalid_line"),
    (stated(at="noon"), "invalid_line"),
    (stated(at=1793491200), "invalid_line"),
    (stated(service_tier=1), "invalid_line"),
]


def test_what_cannot_be_rated_is_an_error_of_its_line(bare: Pertoken) -> None:
    """A line that says nothing definite is answered with its code and its number, the rest is rated, the exit is 1."""
    found = bare.lines("rate", stdin=[*(line for line, _ in NO_USAGE), stated()], code=1)

    assert [one["error"]["code"] for one in found[:-1]] == [code for _, code in NO_USAGE]
    assert [one["error"]["message"].partition(":")[0] for one in found[:-1]] == [
        f"line {number}" for number in range(1, len(NO_USAGE) + 1)
    ]
    assert found[-1]["status"] == "priced"


def test_rate_and_ingest_agree(pertoken: Pertoken, write_lines: WriteLines) -> None:
    """What `rate` says of a usage is what `ingest` posts for it."""
    lines = [
        stated(id=f"e{number}", model=model, usage=usage)
        for number, (model, usage) in enumerate(
            [("gpt-4o-mini", {"input_tokens": 12_345, "output_tokens": 678}), ("gpt-5.6-sol", USAGE)]
        )
    ]
    rated = pertoken.lines("rate", stdin=lines)
    pertoken("ingest", write_lines(*lines))

    for line in rated:
        assert pertoken.json("explain", line["id"])["cost"] == line["cost"]


def test_rate_in_every_context(pertoken: Pertoken) -> None:
    """Tier, batch, region and fractions of a second have their price; what nobody priced is unpriced, with a reason."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    lines = [
        {"id": 1, "provider": "openai", "model": "gpt-5.4", "usage": usage, "batch": True},
        {"id": 2, "provider": "anthropic", "model": "claude-opus-4-8", "usage": usage, "region": "us"},
        {"id": 3, "provider": "openai", "model": "gpt-5.4", "usage": usage, "service_tier": "prority"},
        {"id": 4, "provider": "openai", "model": "gpt-5.4", "usage": usage, "speed": "ludicrous"},
        {"id": 5, "provider": "groq", "model": "whisper-large-v3", "usage": {"seconds": 12.345}},
        {"id": 6, "provider": "groq", "model": "whisper-large-v3", "usage": {"seconds": 2.5}},
    ]
    rated = pertoken.lines("rate", stdin=lines)

    assert [one.get("cost") for one in rated] == ["2.5", "5.5", None, None, "0.0003806375", "0.000308333333"]
    assert [one["status"] for one in rated[2:4]] == ["unpriced", "unpriced"]
    assert "service tier 'prority'" in rated[2]["reason"]
    assert rated[1]["lines"][0]["factors"][0]["factor"] == "1.1"
    assert rated[4]["lines"][0]["quantity"] == 12.345
    assert rated[5]["lines"][0]["minimum"] == 10


def test_free_quotas_are_taken_off_where_asked(pertoken: Pertoken) -> None:
    """By itself a search costs its price; with --free-quotas the month's free ones go first, in the order of lines."""
    asked = {"provider": "google", "model": "gemini-3.5-flash", "usage": {"web_searches": 3_000}}
    lines = [{**asked, "id": day, "at": f"2026-1{day}-01T00:00:00Z"} for day in (0, 0, 1)]

    assert [one["cost"] for one in pertoken.lines("rate", stdin=lines)] == ["42", "42", "42"]
    assert [one["cost"] for one in pertoken.lines("rate", "--free-quotas", stdin=lines)] == ["0", "14", "0"]


def test_what_extract_writes_is_what_rate_reads(pertoken: Pertoken) -> None:
    """The two work as a pipe, also for an answer that two models made: each is priced as itself."""
    iterations = [
        {"type": "message", "model": "claude-opus-4-8", "input_tokens": 100, "output_tokens": 20},
        {"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 1000, "output_tokens": 10},
    ]
    usage = {"input_tokens": 100, "output_tokens": 30, "iterations": iterations}
    body = {"model": "claude-opus-4-8", "id": "msg_1", "usage": usage}
    read = pertoken.lines(
        "extract", stdin=[{"id": 1, "api": "anthropic.messages", "provider": "anthropic", "body": body}]
    )
    (rated,) = pertoken.lines("rate", stdin=read)

    assert (rated["status"], rated["cost"]) == ("priced", "0.00205")


STATING = [("openrouter", "openai/gpt-4o-mini"), ("xai", "grok-4.3"), ("openrouter", "nobody/knows-this")]


@pytest.mark.parametrize(("provider", "model"), STATING)
def test_rate_charges_what_is_stated_as_ingest_does(
    pertoken: Pertoken, write_lines: WriteLines, provider: str, model: str
) -> None:
    """Who charges as stated is charged that, rounded up, and the price book's figure stands beside it."""
    usage = {"input_tokens": 20, "output_tokens": 50}
    line = stated(id="e1", provider=provider, model=model, usage={**usage, "reported_cost": "0.0160614000001"})
    (rated,) = pertoken.lines("rate", stdin=[line])
    (by_book,) = pertoken.lines("rate", stdin=[{**line, "usage": usage}])
    pertoken("ingest", write_lines(line))
    explained = pertoken.json("explain", "e1")

    assert rated["cost"] == explained["cost"] == "0.016061400001"
    assert [(one["unit"], one["price_id"], one["amount"]) for one in rated["lines"]] == [
        ("reported", "reported", rated["cost"])
    ]
    beside = explained["price_book"]
    assert (beside is None) is ("price_book" not in rated) is (by_book["status"] == "unpriced")
    if beside is not None:
        assert rated["price_book"]["cost"] == beside["cost"] == by_book["cost"]
        assert rated["price_book"]["difference"] == beside["difference"]
        assert rated["price_book"]["lines"] == by_book["lines"]


def test_rate_leaves_a_statement_of_others(bare: Pertoken) -> None:
    """What a provider states that is charged by the price book changes nothing; one that is no amount is an error."""
    found = bare.lines(
        "rate", stdin=[stated(usage={"input_tokens": 1_000_000, "reported_cost": cost}) for cost in ("9", "x")], code=1
    )

    assert (found[0]["cost"], "price_book" in found[0]) == ("0.15", False)
    assert found[1]["error"]["code"] == "invalid_line"


def test_rate_passes_on_why_there_is_no_usage(bare: Pertoken) -> None:
    """What `extract` could not read, and a provider's error, are errors with their reason, not lines of no shape."""
    answers: list[dict[str, Any]] = [
        {"body": {"error": {"message": "slow down", "type": "rate_limit"}}},
        {"body": {"model": "gpt-4o-mini", "usage": {"prompt_tokens": "x"}}},
        {"body": {"model": "gpt-4o-mini", "choices": []}},
        {"body": {"model": "gpt-4o-mini", "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}},
    ]
    lines = [{"id": at, "api": "openai.chat", "provider": "openai", **one} for at, one in enumerate(answers)]
    read = bare.lines("extract", stdin=lines, code=1)
    found = bare.lines("rate", stdin=[read[1], read[0], *read[2:]], code=1)

    assert [one["id"] for one in found] == [1, 0, 2, 3]
    assert [one["error"]["code"] for one in found[:3]] == ["contradictory_usage", "provider_error", "no_usage"]
    assert found[0]["error"]["message"] == "line 1: prompt_tokens is not a count: 'x'"
    assert "slow down" in found[1]["error"]["message"]
    assert "has no usage" in found[2]["error"]["message"]
    assert found[3]["cost"] == "0.15"
