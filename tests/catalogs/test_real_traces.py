"""Real traffic rated at two dates: the difference is what the price rows say, and nothing else."""

import csv
import gzip
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pertoken.catalogs import genai, history, rules
from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.rating import Rated, rate

NOW = parse_time("2026-11-23")
Use = tuple[str, str, dict[str, int]]  # provider, model, usage


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Return the price book that a new database begins with."""
    return PriceBook([*genai.read(NOW), *history.read(NOW), *rules.read(NOW)])


def trace(name: str) -> Path:
    """Return a file of real traces, or skip the test."""
    folder = Path(os.environ.get("PERTOKEN_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    path = folder / "traces" / name
    if not path.exists():
        pytest.skip(f"the real traces are not here: {path}; set PERTOKEN_DATA")
    return path


def claude_code() -> Iterator[Use]:
    """Yield every request of the agent sessions, of sub-agents too; a prefix seen before is a cache read."""
    with gzip.open(trace("claude_code_traces.jsonl.gz"), "rt") as lines:
        for line in lines:
            session = json.loads(line)
            yield from _requests(session["requests"], session["block_size"])


def _requests(requests: list[dict[str, Any]], block_size: int) -> Iterator[Use]:
    longest = 0
    for request in requests:
        if "requests" in request:
            yield from _requests(request["requests"], block_size)
            continue
        first, _, last = request["blocks"].partition(",")[0].partition("-")
        blocks = int(last or first) if first == "1" else 0
        cached = min(request["in"], min(longest, blocks) * block_size)
        longest = max(longest, blocks)
        usage = {"input_tokens": request["in"], "cache_read_tokens": cached, "output_tokens": request["out"]}
        yield "anthropic", request["model"], usage


def azure(name: str) -> Iterator[Use]:
    """Yield every request of an hour of Azure's, as if gpt-4o had served it."""
    with gzip.open(trace(name), "rb") as packed:
        for row in csv.DictReader(io.TextIOWrapper(packed)):
            usage = {"input_tokens": int(row["ContextTokens"]), "output_tokens": int(row["GeneratedTokens"])}
            yield "openai", "gpt-4o", usage


def rated(book: PriceBook, uses: Iterable[Use], at: str) -> tuple[int, dict[tuple[str, str, int], list[Any]]]:
    """Return the cost in picos, and by (model, unit, tier) the quantity and the price of one as a fraction."""
    at_us = parse_time(at)
    cost = 0
    lines: dict[tuple[str, str, int], list[Any]] = defaultdict(lambda: [0, Fraction(0)])
    for provider, model, usage in uses:
        rates = book.resolve(provider, model, at_us)
        assert isinstance(rates, Rates), rates
        found = rate(usage, rates)
        assert isinstance(found, Rated), found
        cost += found.cost_picos
        for line in found.lines:
            slot = lines[model, line.unit, int(usage["input_tokens"] > 200_000)]
            slot[0] += line.quantity
            slot[1] = Fraction(line.price.amount_picos, line.price.per)
    return cost, lines


@pytest.mark.parametrize(
    ("name", "before", "after", "changes"),
    [
        ("claude_code", "2026-02-10", "2026-11-01", {"claude-opus-4-6"}),
        ("azure_llm_2023_conv.csv.gz", "2024-06-01", "2026-11-01", {"gpt-4o"}),
        ("azure_llm_2023_code.csv.gz", "2024-06-01", "2026-11-01", {"gpt-4o"}),
    ],
)
def test_the_difference_is_explained_by_price_rows_alone(
    book: PriceBook, name: str, before: str, after: str, changes: set[str]
) -> None:
    """Each quantity times the change of its price adds up to the change of the whole cost, to the last pico."""
    uses = list(claude_code() if name == "claude_code" else azure(name))
    old_cost, old = rated(book, uses, before)
    new_cost, new = rated(book, uses, after)

    assert len(uses) > 8_000
    assert old.keys() == new.keys()
    assert all(old[slot][0] == new[slot][0] for slot in old)
    explained = {slot: old[slot][0] * (new[slot][1] - old[slot][1]) for slot in old}
    assert sum(explained.values()) == new_cost - old_cost
    assert {slot[0] for slot, amount in explained.items() if amount} == changes
