"""Finds values by their key in bytes that are not valid JSON, such as the end of a stream or a broken answer."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

TRIES_MAX = 16  # occurrences of the key that are tried, so that no answer can make the search slow

_decoder = json.JSONDecoder()  # can read one value in the middle of a text; msgspec cannot


class Found(NamedTuple):
    """An object as the original bytes and as a decoded value."""

    raw: bytes
    value: dict[str, Any]


def last_object(data: bytes, key: str) -> Found | None:
    """Return the last complete object after `key`, or None."""
    return next(last_objects(data, key), None)


def last_objects(data: bytes, key: str) -> Iterator[Found]:
    """Yield each complete object after `key`, the last one first."""
    text = data.decode("latin-1")  # one character per byte, so that positions in the text are positions in the bytes
    name = f'"{key}"'
    end = len(text)
    for _ in range(TRIES_MAX):
        at = text.rfind(name, 0, end)
        if at < 0:
            return
        found = _object_at(text, at + len(name))
        if found is not None:
            yield found
        end = at


def last_text(data: bytes, key: str) -> str | None:
    """Return the text after the last `key`, or None if that value is not a complete, non-empty text."""
    text = data.decode("utf-8", "replace")
    name = f'"{key}"'
    at = text.rfind(name)
    if at < 0:
        return None
    start = _value_at(text, at + len(name))
    try:
        value, _ = _decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) and value else None


def values(data: bytes) -> Iterator[Any]:
    """Yield the entries of an array that may be cut off. A rest that cannot be read comes last, as text."""
    text = data.decode("utf-8", "replace")
    at = 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,[]":
            at += 1
        if at == len(text):
            return
        try:
            value, at = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield text[at:]
            return
        yield value


def _object_at(text: str, after_key: int) -> Found | None:
    start = _value_at(text, after_key)
    if not text.startswith("{", start):
        return None
    try:
        value, end = _decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return Found(text[start:end].encode("latin-1"), value)


def _value_at(text: str, after_key: int) -> int:
    """Return the position of the value of a key: after the colon and white space."""
    at = after_key
    while at < len(text) and text[at] in " \t\r\n:":
        at += 1
    return at
