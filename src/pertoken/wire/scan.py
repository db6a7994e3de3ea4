"""Finding an object behind its key in bytes that are no whole JSON text: the end of a stream, a broken answer."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

TRIES_MAX = 16  # occurrences of the key that are looked at, so that no answer can make this slow

_decoder = json.JSONDecoder()  # reads one value where it stands, which msgspec cannot


class Found(NamedTuple):
    """An object as it stood, and what it holds."""

    raw: bytes
    value: dict[str, Any]


def last_object(data: bytes, key: str) -> Found | None:
    """Return the last object that stands whole behind `key`, None where there is none."""
    return next(last_objects(data, key), None)


def last_objects(data: bytes, key: str) -> Iterator[Found]:
    """Yield each complete object behind `key`, the last one first."""
    text = data.decode("latin-1")  # one letter a byte, so that places in the text are places in the bytes
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
    """Return the last non-empty text that stands behind `key`, None where there is none."""
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
    """Yield the entries of an array that may be cut short; what cannot be read comes last, as its text."""
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
    """Return where the value of a key begins: behind the colon and white space."""
    at = after_key
    while at < len(text) and text[at] in " \t\r\n:":
        at += 1
    return at
