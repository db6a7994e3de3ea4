"""What reading and rating cost: `python bench/rating.py [--quick]`.

Whole-process CPU for the commands, start-up included; best of several rounds in one process for the core.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.rating import quote, rate
from pertoken.wiring import shipped_prices

MODELS = [
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-opus-4-8"),
    ("google", "gemini-2.5-pro"),
    ("openai", "gpt-5.4"),
]
USAGE = {"input_tokens": 5_000, "cache_read_tokens": 3_000, "cache_write_tokens": 500, "output_tokens": 400}


def rate_lines(count: int) -> str:
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


def bodies(count: int) -> str:
    """Return lines for `pertoken extract`: chat answers of about 700 bytes."""
    usage = {"prompt_tokens": 900, "completion_tokens": 90, "total_tokens": 990}
    usage_details = {
        "prompt_tokens_details": {"cached_tokens": 512},
        "completion_tokens_details": {"reasoning_tokens": 64},
    }
    message = {"role": "assistant", "content": "word " * 60}
    body = {
        "id": "chatcmpl-1",
        "model": "gpt-5.4",
        "service_tier": "default",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {**usage, **usage_details},
    }
    return "\n".join(
        json.dumps({"id": at, "api": "openai.chat", "provider": "openai", "body": body}) for at in range(count)
    )


def command_rate(command: str, text: str, folder: Path) -> float:
    """Return lines a second of CPU of a command."""
    path = folder / "lines.jsonl"
    path.write_text(text)
    before = os.times()
    with path.open("rb") as source:
        environ = {**os.environ, "PERTOKEN_DATABASE_URL": f"sqlite:///{folder}/none.db"}
        subprocess.run(
            [sys.executable, "-m", "pertoken", command],
            stdin=source, stdout=subprocess.DEVNULL, check=True, env=environ,
        )  # fmt: skip
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return text.count("\n") / cpu


def best_us(work: Callable[[], object], times: int) -> float:
    """Return the least CPU microseconds of one call over several rounds."""
    rounds = []
    for _ in range(7):
        before = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - before) / times * 1e6)
    return min(rounds)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the lines")
    count = 40_000 if parser.parse_args().quick else 400_000
    table = Table(title="reading and rating")
    for heading in ("what", "measured", "target"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table.add_row("rate, lines a second", f"{command_rate('rate', rate_lines(count), folder):,.0f}", "60,000")
        table.add_row("extract, bodies a second", f"{command_rate('extract', bodies(count), folder):,.0f}", "30,000")
    at_us = parse_time("2026-11-23")
    before = time.process_time()
    book = PriceBook(shipped_prices(at_us))
    table.add_row("reading the shipped prices", f"{time.process_time() - before:.2f} s", "1 s")
    rates = book.resolve("anthropic", "claude-opus-4-8", at_us)
    assert isinstance(rates, Rates)
    asked = {"input_tokens": 900, "output_tokens": 300}
    table.add_row("rating one event", f"{best_us(lambda: rate(USAGE, rates), 20_000):.1f} us", "6 us")
    table.add_row("quoting one call", f"{best_us(lambda: quote(asked, rates), 20_000):.1f} us", "")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
