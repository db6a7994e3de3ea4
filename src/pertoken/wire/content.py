"""Collects what a model reads and writes from JSON of any shape. Every text counts; media are measured separately."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from pertoken.core.media import Media
from pertoken.wire import media_size, sse

# Fields of an answer that the model did not write: labels, ids, base64 data, signatures.
UNWRITTEN = frozenset(
    {
        "role", "type", "id", "index", "object", "status", "call_id", "item_id", "tool_use_id", "data", "expires_at",
        "signature", "thoughtSignature", "encrypted_content", "reasoning_details", "annotations", "citations",
        "logprobs", "obfuscation",
    }
)  # fmt: skip

_ESCAPED = re.compile(rb"\\u00[2-7]")  # escapes of ASCII characters; other escapes are common and hide no field name
_any = msgspec.json.Decoder()


def plain(body: bytes) -> bytes:
    """Return a JSON body without escapes of ASCII letters, so that a search of its bytes finds every word."""
    if b"\\" not in body or _ESCAPED.search(body) is None:  # the first test is quick, and most prose has no backslash
        return body
    try:
        return msgspec.json.encode(_any.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body


def is_conversation(messages: object) -> bool:
    """Tell whether a value is a list of messages, each with a `role`."""
    return isinstance(messages, list) and all(isinstance(one, dict) and "role" in one for one in messages)


def collect_text(value: object, texts: list[str], without: frozenset[str] = frozenset()) -> None:
    """Add every text inside a value to `texts`, except the fields named in `without`."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            waiting.extend(reversed(value))
        elif isinstance(value, dict):
            waiting.extend(reversed([entry for key, entry in value.items() if key not in without]))


def collect_json(value: object, texts: list[str]) -> None:
    """Add a value as JSON, with names and numbers, to `texts`. A model reads the arguments of a tool call so."""
    if isinstance(value, str):
        texts.append(value)
    elif value is not None:
        try:
            texts.append(msgspec.json.encode(value).decode())
        except RecursionError:
            collect_text(value, texts)


def inline_bytes(url: object) -> int | None:
    """Return how many bytes a base64 data URL carries, or None for a link."""
    if isinstance(url, str) and url.startswith("data:"):
        return base64_bytes(url[url.find(",") + 1 :])
    return None


def picture(url: object, detail: str | None = None) -> Media:
    """Return the picture of a data URL or a link. A data URL has a size if the head of the picture says it."""
    if isinstance(url, str) and url.startswith("data:"):
        head, _, data = url.partition(",")
        if head.endswith(";base64"):
            return inline_picture(data, detail)
    return Media("image", inline_bytes(url), detail=detail)


def inline_picture(data: object, detail: str | None = None) -> Media:
    """Return a picture given as base64 text, with its size if its head says it."""
    size = media_size.image_size(data)
    width, height = size or (None, None)
    return Media("image", base64_bytes(data), width, height, detail)


def inline_sound(data: object) -> Media:
    """Return a sound given as base64 text, with its duration if its head says it."""
    return Media("audio", base64_bytes(data), duration_us=media_size.sound_duration_us(data))


def base64_bytes(data: object) -> int | None:
    """Return how many bytes a base64 text carries, or None if the value is not a text."""
    return len(data) * 3 // 4 if isinstance(data, str) else None


def encoded(values: object) -> tuple[bytes, ...]:
    """Return each entry of a list as JSON bytes; an empty tuple for anything else."""
    return tuple(msgspec.json.encode(value) for value in values) if isinstance(values, list) else ()


def as_dict(value: object) -> dict[str, Any]:
    """Return a dict unchanged, or an empty dict for any other value."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a list unchanged, or an empty list for any other value."""
    return value if isinstance(value, list) else []


def parse(data: bytes) -> Any:
    """Return the value of a JSON text, or None if it cannot be read."""
    try:
        return _any.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def answer_text(body: bytes, written: Callable[[dict[str, Any], list[str]], None]) -> str:
    """Return the text that `written` collects from an answer. A body that is not a JSON object counts as text."""
    answer = parse(body)
    if not isinstance(answer, dict):
        return body.decode("utf-8", "replace")
    texts: list[str] = []
    written(answer, texts)
    return "".join(texts)


def events_text(events: bytes, written: Callable[[dict[str, Any], list[str]], None]) -> str:
    """Return the text that `written` collects from whole events. A JSON event that cannot be read counts as text."""
    texts: list[str] = []
    for event in sse.split(events):
        data = sse.data(event)
        if not data.startswith(b"{"):
            continue
        value = parse(data)
        if isinstance(value, dict):
            written(value, texts)
        else:
            texts.append(data.decode("utf-8", "replace"))
    return "".join(texts)
