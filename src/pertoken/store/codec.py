"""JSON columns: compact text of values, the same for equal values."""

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder()


def encode(value: object) -> str:
    """Return canonical JSON text."""
    return _encoder.encode(value).decode()


def decode(text: str) -> Any:
    """Return what `encode` wrote."""
    return _decoder.decode(text)


def encode_pairs(pairs: tuple[tuple[str, str], ...]) -> str:
    """Return name-value pairs as an object, sorted by name."""
    return encode(dict(pairs))


def encode_tags(tags: tuple[tuple[str, str], ...]) -> str:
    """Return sorted name-value pairs as an object; no tags are the empty text."""
    return encode_pairs(tags) if tags else ""


def decode_tags(text: str) -> tuple[tuple[str, str], ...]:
    """Return name-value pairs sorted by name."""
    return tuple(sorted(decode(text).items())) if text else ()
