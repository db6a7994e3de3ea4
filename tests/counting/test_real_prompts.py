"""Real prompts: how near each way of counting comes. Runs where the shared data is at hand."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pertoken.core.bounds import byte_bound, counted_bound, family_of
from pertoken.counting.requests import count_request
from pertoken.counting.tokenizers import Tokenizers
from pertoken.wire import openai_chat

TOKENIZERS = Tokenizers()
ReadLines = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def read_lines() -> ReadLines:
    """Return a function that reads a file of real prompts."""

    def read(name: str) -> list[dict[str, Any]]:
        beside = Path(__file__).parents[2].parent / "shared" / "data"
        path = Path(os.environ.get("PERTOKEN_DATA", beside)) / "prompts" / name
        if not path.exists():
            pytest.skip(f"the real prompts are not here: {path}; set PERTOKEN_DATA")
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    return read


def test_arena_prompts(read_lines: ReadLines) -> None:
    """500 prompts of people (Arena-Hard): bytes/4 is near in sum and far in single ones; no bound is beaten."""
    family = family_of("gpt-4o")
    exact, guessed, worst = 0, 0, 0.0
    for line in read_lines("arena_hard_v0.1_questions.jsonl.gz"):
        body = json.dumps({"messages": [{"role": "user", "content": line["prompt"]}]}, ensure_ascii=False).encode()
        tokens = count_request(body, "chat", "gpt-4o", family, TOKENIZERS).tokens
        content = openai_chat.read_content(body)
        counted = TOKENIZERS.count_content(family, content)

        assert tokens <= counted_bound(counted, family, messages=1, names=0, tools=False)
        assert tokens <= byte_bound(len(body), family, tools=False)
        size = len(line["prompt"].encode()) / 4
        exact, guessed, worst = exact + tokens - 7, guessed + size, max(worst, abs(size / (tokens - 7) - 1))

    print(f"bytes/4 against exact, all prompts: {guessed / exact - 1:+.1%}; the worst one: {worst:.0%}")  # noqa: T201
    assert abs(guessed / exact - 1) < 0.15
    assert worst > 0.5


def test_functions(read_lines: ReadLines) -> None:
    """1,053 requests with functions (Berkeley Function Calling Leaderboard): within both bounds, however rendered."""
    family = family_of("gpt-4o")
    for line in read_lines("bfcl_v4_live_multiple.jsonl.gz"):
        tools = [{"type": "function", "function": function} for function in line["function"]]
        body = json.dumps({"messages": line["question"][0], "tools": tools}, ensure_ascii=False).encode()
        tokens = count_request(body, "chat", "gpt-4o", family, TOKENIZERS).tokens
        content = openai_chat.read_content(body)
        counted = TOKENIZERS.count_content(family, content)

        assert tokens <= counted_bound(counted, family, messages=content.messages, names=0, tools=True)
        assert tokens <= byte_bound(len(body), family, tools=True)
