"""Gathering what a model reads and writes from JSON of any shape: every text counts, media are sized apart."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from pertoken.core.media import Media
from pertoken.wire import media_size, sse

# Fields beside an answer's text that no model wrote: names of things, sound as base64, seals.
UNWRITTEN = frozenset(
    {
        "role", "type", "id", "index", "object", "status", "call_id", "item_id", "tool_use_id", "data", "expires_at",
        "signature", "thoughtSignature", "encrypted_content", "reasoning_details", "annotations", "citations",
        "logprobs", "obfuscation",
    }
)  # fmt: skip

_ESCAPED = re.compile(rb"\\u00[2-7]")  # of letters that need no escape; that of an accent is common and hides nothing
_any = msgspec.json.Decoder()


def plain(body: bytes) -> bytes:
    """Return a JSON body in which every word can be found by its bytes: without escapes of ASCII letters."""
    if b"\\" not in body or _ESCAPED.search(body) is None:  # the first is quick, and most prompts of prose have none
        return body
    try:
        return msgspec.json.encode(_any.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body


def is_conversation(messages: object) -> bool:
    """Tell whether a value is a list of messages, each with the role of who says it."""
    return isinstance(messages, list) and all(isinstance(one, dict) and "role" in one for one in messages)


def collect_text(value: object, texts: list[str], without: frozenset[str] = frozenset()) -> None:
    """Gather every text inside a value, but for the fields in `without`: tool calls, refusals, names, all of it."""
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
    """Gather a value that a model reads as JSON, names and numbers included: the arguments of a tool call."""
    if isinstance(value, str):
        texts.append(value)
    elif value is not None:
        try:
            texts.append(msgspec.json.encode(value).decode())
        except RecursionError:
            collect_text(value, texts)


def inline_bytes(url: object) -> int | None:
    """Return how many bytes a data URL carries, None for a link."""
    if isinstance(url, str) and url.startswith("data:"):
        return base64_bytes(url[url.find(",") + 1 :])
    return None


def picture(url: object, detail: str | None = None) -> Media:
    """Return a picture given as a data URL, with its size where its head says it, or as a link, without."""
    if isinstance(url, str) and url.startswith("data:"):
        head, _, data = url.partition(",")
        if head.endswith(";base64"):
            return inline_picture(data, detail)
    return Media("image", inline_bytes(url), detail=detail)


def inline_picture(data: object, detail: str | None = None) -> Media:
    """Return a picture given as base64 text, with its size where its head says it."""
    size = media_size.image_size(data)
    width, height = size or (None, None)
    return Media("image", base64_bytes(data), width, height, detail)


def inline_sound(data: object) -> Media:
    """Return a sound given as base64 text, with its duration where its head says it."""
    return Media("audio", base64_bytes(data), duration_us=media_size.sound_duration_us(data))


def base64_bytes(data: object) -> int | None:
    """Return how many bytes a base64 text carries, None where there is none."""
    return len(data) * 3 // 4 if isinstance(data, str) else None


def encoded(values: object) -> tuple[bytes, ...]:
    """Return each entry of a list as JSON bytes; anything else has none."""
    return tuple(msgspec.json.encode(value) for value in values) if isinstance(values, list) else ()


def as_dict(value: object) -> dict[str, Any]:
    """Return an object as it is, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a list as it is, an empty one for anything else."""
    return value if isinstance(value, list) else []


def parse(data: bytes) -> Any:
    """Return what a JSON text holds, None where it cannot be read."""
    try:
        return _any.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def answer_text(body: bytes, written: Callable[[dict[str, Any], list[str]], None]) -> str:
    """Return the text that `written` gathers from an answer; an answer that cannot be read counts as it is."""
    answer = parse(body)
    if not isinstance(answer, dict):
        return body.decode("utf-8", "replace")
    texts: list[str] = []
    written(answer, texts)
    return "".join(texts)


def events_text(events: bytes, written: Callable[[dict[str, Any], list[str]], None]) -> str:
    """Return the text that `written` gathers from whole events; an event that cannot be read counts as text."""
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
