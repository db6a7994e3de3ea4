import json
from pathlib import Path

import pytest
from tests.cli.conftest import Pertoken


@pytest.mark.parametrize(
    ("model", "text", "tokens", "method"),
    [
        ("gpt-4o", "hello world", 2, "exact"),
        ("gpt-4", "hello world", 2, "exact"),
        ("gpt-4o", "", 0, "exact"),
        ("claude-opus-5-5", "hello world", 4, "factor"),  # 2 by o200k, held at twice that
        ("gpt-4o", "<|endoftext|>", 7, "exact"),  # text that looks like a special token is text
    ],
)
def test_tokens_are_counted_and_the_method_said(
    pertoken: Pertoken, model: str, text: str, tokens: int, method: str
) -> None:
    """OpenAI's own encodings count exactly; for closed tokenizers a factor is held."""
    counted = json.loads(pertoken("count", "--model", model, "--json", stdin=text).stdout)

    assert counted == {"tokens": tokens, "method": method, "model": model}


def test_a_file_is_counted(pertoken: Pertoken, tmp_path: Path) -> None:
    """`count FILE` reads the file; in text the count says how it was made."""
    path = tmp_path / "text.txt"
    path.write_text("hello world")

    assert pertoken("count", "--model", "gpt-4o", str(path)).stdout == (
        "2 tokens (exact) of 11 characters for gpt-4o\n"
    )
