"""The call that everybody is asked: its bytes, made once, and what a right answer to it is."""

import http.client
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import provider

PATH = "/v1/chat/completions"
MODEL = "gpt-4o-mini"
PROMPT = "hello world " * 80
CHUNK_TOKENS_MAX = 25  # the stamp in it is 21 bytes: the provider keeps to its cap, whoever counts, and however
WAIT_S = 30


class WrongAnswer(Exception):
    """Somebody did not answer the call as the provider did."""


class Target(NamedTuple):
    """Who is asked: an address, the model's name there, and the headers that it wants."""

    url: str
    headers: Mapping[str, str] = {}
    model: str = MODEL
    poor: Mapping[str, str] = {}  # the headers of a client whose budget is nearly used up

    @property
    def address(self) -> tuple[str, int]:
        """Return host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port


class Stream(NamedTuple):
    """How an answer is streamed: so many chunks, one each so many milliseconds."""

    chunks: int
    gap_ms: int


def message(target: Target, stream: Stream | None = None) -> bytes:
    """Return the whole request."""
    body = _body(target, stream)
    host, port = target.address
    head = {
        "host": f"{host}:{port}",
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": "OpenAI/Python 3.54.0",
        "content-length": str(len(body)),
        **target.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + body


def check(target: Target, *, streams: bool) -> None:
    """Make a whole call and a streamed one. Raises WrongAnswer where status, chunks or usage are not the provider's."""
    _check_usage(target, json.loads(_ask(target, None)))
    if not streams:
        return
    stream = Stream(5, 1)
    text = _ask(target, stream)
    events = [json.loads(line) for line in re.findall(rb"^data: (\{.*)", text, re.MULTILINE)]
    if (stamps := len(provider.STAMP.findall(text))) != stream.chunks:
        raise WrongAnswer(f"{target.url}: {stream.chunks} chunks were streamed, {stamps} arrived")
    _check_usage(target, events[-1])


def _body(target: Target, stream: Stream | None) -> bytes:
    text = PROMPT if stream is None else PROMPT + provider.ORDER % stream
    most = 300 if stream is None else stream.chunks * CHUNK_TOKENS_MAX
    fields: dict[str, Any] = {
        "model": target.model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": most,
    }
    if stream is not None:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(fields, separators=(",", ":")).encode()


def _ask(target: Target, stream: Stream | None) -> bytes:
    connection = http.client.HTTPConnection(*target.address, timeout=WAIT_S)
    try:
        headers = {"content-type": "application/json", **target.headers}
        connection.request("POST", PATH, _body(target, stream), headers)
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise WrongAnswer(f"{target.url}: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise WrongAnswer(f"{target.url} answered {response.status}: {text[:300].decode(errors='replace')}")
    return text


def _check_usage(target: Target, answer: dict[str, Any]) -> None:
    usage = answer.get("usage") or {}
    for name in ("prompt_tokens", "completion_tokens"):
        if usage.get(name) != provider.USAGE[name]:
            raise WrongAnswer(f"{target.url}: {name} is {usage.get(name)}, not the provider's {provider.USAGE[name]}")
