"""Reading, bounding and rating in this process, and the commands that do it line by line; nothing is stored."""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from call import PROMPT
from effort import Effort
from scene import folder
from tables import Cell, Column, Table

from pertoken.core import bounds
from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.rating import quote, rate
from pertoken.counting.tokenizers import Tokenizers
from pertoken.wire import openai_chat
from pertoken.wiring.prices import shipped_prices

MODELS = [
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-opus-4-8"),
    ("google", "gemini-2.5-pro"),
    ("openai", "gpt-5.4"),
]
USAGE = {"input_tokens": 5_000, "cache_read_tokens": 3_000, "cache_write_tokens": 500, "output_tokens": 400}
BODY = json.dumps(
    {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 300}
).encode()
ROUNDS = 7

COLUMNS = (Column("what"), Column("a second", "{:,.0f}"), Column("CPU each", "{:,.1f} us"))


def measure(effort: Effort) -> Iterator[Table]:
    """Yield how much is read, bounded and rated in a second of CPU."""
    print("reading, bounding, rating", file=sys.stderr, flush=True)
    at_us = parse_time("2026-11-23")
    began_s = time.process_time()
    book = PriceBook(shipped_prices(at_us))
    read_s = time.process_time() - began_s
    rates = book.resolve("anthropic", "claude-opus-4-8", at_us)
    assert isinstance(rates, Rates)
    rows = [
        _row("rate an event, its rates resolved", lambda: rate(USAGE, rates), 5_000),
        _row("quote a bound", lambda: quote({"input_tokens": 1_000, "output_tokens": 300}, rates), 10_000),
        _row("bound a call of 1 KB by its bytes, and quote it", lambda: _by_bytes(rates), 2_000),
        _row("bound a call of 1 KB by counting its tokens", _counter(), 200),
    ]
    with folder() as room:
        for command, text in (("rate", _rate_lines(effort.lines)), ("extract", _bodies(effort.lines))):
            cpu_us = _command_s(command, text, room) / effort.lines * 1e6
            rows.append([f"pertoken {command}, a line, start-up included", 1e6 / cpu_us, cpu_us])
    notes = (
        f"a second of CPU of one core; medians of {ROUNDS} rounds",
        f"reading the shipped price list took {read_s:.2f} s of CPU; {effort.lines:,} lines for each command",
    )
    yield Table("reading, bounding and rating, in process", COLUMNS, rows, notes)


def _row(what: str, work: Callable[[], object], times: int) -> list[Cell]:
    rounds = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - before) / times * 1e6)
    cpu_us = statistics.median(rounds)
    return [what, 1e6 / cpu_us, cpu_us]


def _by_bytes(rates: Rates) -> object:
    facts = openai_chat.read_request(BODY, None)
    tokens = bounds.byte_bound(len(BODY), bounds.FAMILIES["o200k"], tools=facts.has_tools)
    return quote({"input_tokens": tokens, "output_tokens": facts.output_max or 0}, rates)


def _counter() -> Callable[[], object]:
    tokenizers, family = Tokenizers(), bounds.FAMILIES["o200k"]

    def count() -> object:
        content = openai_chat.read_content(BODY)
        tokens = tokenizers.count_content(family, content)
        return bounds.counted_bound(tokens, family, messages=content.messages, names=content.names, tools=False)

    count()  # reads the vocabulary
    return count


def _rate_lines(count: int) -> str:
    """Return lines for `pertoken rate`."""
    chance = random.Random(1)  # noqa: S311 - the same lines every time
    lines = []
    for number in range(count):
        provider, model = chance.choice(MODELS)
        total = chance.randrange(100, 300_000)
        usage = {"input_tokens": total, "cache_read_tokens": chance.randrange(total), "output_tokens": 400}
        fields = {"id": number, "provider": provider, "model": model, "usage": usage, "at": "2026-11-01T00:00:00Z"}
        lines.append(json.dumps(fields))
    return "\n".join(lines)


def _bodies(count: int) -> str:
    """Return lines for `pertoken extract`: chat answers of about 700 bytes."""
    usage = {
        "prompt_tokens": 900,
        "completion_tokens": 90,
        "total_tokens": 990,
        "prompt_tokens_details": {"cached_tokens": 512},
        "completion_tokens_details": {"reasoning_tokens": 64},
    }
    message = {"role": "assistant", "content": "word " * 60}
    body = {
        "id": "chatcmpl-1",
        "model": "gpt-5.4",
        "service_tier": "default",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }
    lines = ({"id": at, "api": "openai.chat", "provider": "openai", "body": body} for at in range(count))
    return "\n".join(map(json.dumps, lines))


def _command_s(command: str, text: str, room: Path) -> float:
    """Return the CPU seconds of a whole command."""
    path = room / "lines.jsonl"
    path.write_text(text)
    environ = {**os.environ, "PERTOKEN_DATABASE_URL": f"sqlite:///{room}/none.db"}
    before = os.times()
    with path.open("rb") as source:
        arguments = [sys.executable, "-m", "pertoken", command]
        subprocess.run(arguments, stdin=source, stdout=subprocess.DEVNULL, check=True, env=environ)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
