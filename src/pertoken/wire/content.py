"""Gathering what a model reads and writes from JSON of any shape: every text counts, media are sized apart."""

from typing import Any

import msgspec

from pertoken.wire import sse

_any = msgspec.json.Decoder()


def collect_text(value: object, texts: list[str]) -> None:
    """Gather every text inside a value: tool calls, refusals, names, whatever a model may read."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, list):
        for entry in value:
            collect_text(entry, texts)
    elif isinstance(value, dict):
        for entry in value.values():
            collect_text(entry, texts)


def inline_bytes(url: object) -> int | None:
    """Return how many bytes a data URL carries, None for a link."""
    if isinstance(url, str) and url.startswith("data:"):
        return base64_bytes(url[url.find(",") + 1 :])
    return None


def base64_bytes(data: object) -> int | None:
    """Return how many bytes a base64 text carries, None where there is none."""
    return len(data) * 3 // 4 if isinstance(data, str) else None


def encoded(values: object) -> tuple[bytes, ...]:
    """Return each entry of a list as JSON bytes; anything else has none."""
    return tuple(msgspec.json.encode(value) for value in values) if isinstance(values, list) else ()


def parse(data: bytes) -> Any:
    """Return what a JSON text holds, None where it is not JSON."""
    try:
        return _any.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parse_events(events: bytes) -> list[Any]:
    """Return the objects that whole events carry; one that cannot be read comes as its text, never as nothing."""
    found = []
    for event in sse.split(events):
        data = sse.data(event)
        if data.startswith(b"{"):
            value = parse(data)
            found.append(data.decode("utf-8", "replace") if value is None else value)
    return found
