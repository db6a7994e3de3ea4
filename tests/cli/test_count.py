import json
from pathlib import Path

import pytest
from tests.cli.conftest import Pertoken

REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
PICTURE = {"type": "image_url", "image_url": {"url": "https://x/y", "detail": "low"}}


@pytest.mark.parametrize(
    ("model", "text", "tokens", "method"),
    [
        ("gpt-4o", "hello world", 2, "exact"),
        ("gpt-4", "hello world", 2, "exact"),
        ("gpt-4o", "", 0, "exact"),
        ("claude-opus-5-5", "hello world", 4, "factor"),  # 2 by o200k, held at twice that
        ("claude-opus-4-6", "hello world", 3, "factor"),
        ("gemini-2.5-pro", "123456", 9, "factor"),  # 2 by o200k and 4 digits more, half as much again
        ("gpt-4o", "<|endoftext|>", 7, "exact"),  # text that looks like a special token is text
    ],
)
def test_tokens_are_counted_and_the_method_said(
    pertoken: Pertoken, model: str, text: str, tokens: int, method: str
) -> None:
    """OpenAI's own encodings count exactly; for closed tokenizers a factor is held, and its evidence told."""
    counted = json.loads(pertoken("count", "--model", model, "--json", stdin=text).stdout)

    assert {key: counted[key] for key in ("tokens", "method", "model", "api", "bytes")} == {
        "tokens": tokens, "method": method, "model": model, "api": "text", "bytes": len(text),
    }  # fmt: skip
    assert (counted["factor_percent"] is None) == (method == "exact")
    assert counted["evidence"]
    assert counted["byte_bound"] >= tokens


def test_a_file_is_counted(pertoken: Pertoken, tmp_path: Path) -> None:
    """`count FILE` reads the file; in text the count says how it was made."""
    path = tmp_path / "text.txt"
    path.write_text("hello world")

    assert pertoken("count", "--model", "gpt-4o", str(path)).stdout == (
        "2 tokens (exact) of 11 characters for gpt-4o\n"
    )
    assert pertoken("count", "--model", "claude-opus-5", str(path)).stdout == (
        "4 tokens (factor) of 11 characters for claude-opus-5\n"
        "o200k count x 2; measured for claude: Claude 4.7 and later, reconstruction: 1.31 to 1.85\n"
        "for any text, at most 86: from 11 bytes\n"
    )


def test_a_request_is_counted(pertoken: Pertoken) -> None:
    """A request body is counted with its frame, and names its model itself; --api says what it is where shape fails."""
    body = json.dumps(REQUEST)

    assert pertoken("count", stdin=body).stdout == "8 tokens (exact) of a chat request for gpt-4o\n"
    assert json.loads(pertoken("count", "--json", stdin=body).stdout)["parts"] == {"text": 8}
    assert "(exact)" in pertoken("count", "--api", "text", "--model", "gpt-4o", stdin=body).stdout
    assert "a messages request" in pertoken("count", "--api", "messages", stdin=body).stdout


def test_parts_are_told(pertoken: Pertoken) -> None:
    """Tools and media stand beside the text, and what the body does not show is named."""
    messages = [{"role": "user", "content": [PICTURE]}]
    request = {"model": "gpt-4o", "messages": messages, "functions": [{"name": "f"}]}
    stored = {"model": "gpt-4o", "input": "hi", "previous_response_id": "r"}

    shown = pertoken("count", stdin=json.dumps(request)).stdout
    assert shown.startswith("115 tokens (bound) of a chat request for gpt-4o\n  text: 7\n  tools: 23\n")
    assert "  input_image_tokens: 85\n" in shown
    assert "not counted: the stored conversation" in pertoken("count", stdin=json.dumps(stored)).stdout
    assert json.loads(pertoken("count", "--json", stdin=json.dumps(stored)).stdout)["not_counted"]


def test_words(pertoken: Pertoken) -> None:
    """Words are tokens by the rule of thumb, told with its measured error; and back."""
    assert pertoken("count", "--words", "750").stdout == (
        "750 words are about 1,075 tokens of o200k, as measured for prose\n"
        "the rule of thumb, 4 tokens for 3 words, says 1,000: -7 % (English prose: fortunes, 2.5 MB)\n"
    )
    german = json.loads(pertoken("count", "--words", "750", "--kind", "german", "--json").stdout)
    assert (german["tokens"], german["tokens_by_rule"], german["error_percent"]) == (1_299, 1_000, -23)
    back = json.loads(pertoken("count", "--tokens", "1075", "--json").stdout)
    assert (back["words"], back["tokens"], back["tokens_by_rule"]) == (750, 1_075, 1_000)
    assert "prose, technical" in pertoken("count", "--words", "1", "--kind", "latin", code=2).stderr
    assert "1.76 bytes a token" in pertoken("count", "--words", "1", "--kind", "hex", code=1).stderr
    assert "not both" in pertoken("count", "--words", "1", "--tokens", "1", code=2).stderr


def test_what_cannot_be_counted(pertoken: Pertoken) -> None:
    """A text needs a model; a body of another API is refused with what is wrong."""
    assert "--model" in pertoken("count", stdin="hello", code=2).stderr
    assert "not a request of api chat" in pertoken("count", "--api", "chat", "--model", "m", stdin="{}", code=1).stderr
