"""JSON request bodies: decoding with clear errors, and replacing a few fields without touching the others."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from pertoken.wire.format import BadRequest

DEPTH_MAX = 200  # deeper nesting is an attack, not a prompt
COUNT_MAX = 2**53
CHOICES_MAX = 1_000  # OpenAI takes 128, Gemini 8

_SPACED = re.compile(rb'"\s+:')

_T = TypeVar("_T")
_object = msgspec.json.Decoder(dict[str, Any])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.encode


def decode(decoder: "msgspec.json.Decoder[_T]", body: bytes) -> _T:
    """Return what `decoder` reads from a request body. Raises BadRequest with what is wrong and where."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(*_where(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the request body is not valid json: {error}") from error


def decode_object(body: bytes) -> dict[str, Any]:
    """Return a request body as a plain object, nested at most DEPTH_MAX deep, with each field once.

    Raises BadRequest when it is none: of a field that is given twice, a provider may read the one that we do not.
    """
    value = decode(_object, body)
    keys = _count_keys(value)
    # Each key ends in a quote and a colon: where there are as many of these as keys, none is left for a repeated one.
    if (body.count(b'":') != keys or _SPACED.search(body) is not None) and tells_a_key_twice(body):
        raise BadRequest("the request body has a field twice in one object")
    return value


def replace_fields(body: bytes, replacements: Mapping[str, object], removed: str | None = None) -> bytes:
    """Return `body` with top-level fields set anew and one removed; every other value keeps its bytes.

    Raises BadRequest when the body is no JSON object.
    """
    if not replacements:
        return body
    fields = decode(_fields, body)
    for key, value in replacements.items():
        fields[key] = msgspec.Raw(_encode(value))
    if removed is not None:
        fields.pop(removed, None)
    return _encode(fields)


def raw_field(body: bytes, key: str) -> bytes | None:
    """Return the bytes of one top-level field, None when it is absent or null. Raises BadRequest for no object."""
    raw = bytes(decode(_fields, body).get(key, b""))
    return raw if raw and raw != b"null" else None


def optional_count(value: object, param: str) -> int | None:
    """Return a non-negative whole number or None. Raises BadRequest naming `param` when it is neither."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 100.0, as some clients write
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        raise BadRequest(f"{param} must be a non-negative whole number, not {value!r:.80}", param)
    return value


def positive_count(value: object, param: str) -> int | None:
    """Return a positive whole number, None where there is none or zero: servers read a zero as not set."""
    return None if value is None else optional_count(value, param) or None


def choices_count(value: object, param: str) -> int:
    """Return how many answers are asked for, or one. Raises BadRequest for more than any API takes."""
    choices = positive_count(value, param) or 1
    if choices > CHOICES_MAX:
        raise BadRequest(f"{param} must be at most {CHOICES_MAX}, not {choices}", param)
    return choices


def text_map(value: object) -> dict[str, str]:
    """Return the text and number entries of a metadata object; anything else has none."""
    if not isinstance(value, dict):
        return {}
    return {key: str(entry) for key, entry in value.items() if isinstance(entry, str | int)}


def optional_text(value: object) -> str | None:
    """Return a non-empty text or None."""
    return value if isinstance(value, str) and value else None


def _where(message: str) -> tuple[str, str | None]:
    """Turn msgspec's "... - at `$.max_tokens`" into a message and the field at fault."""
    text, _, path = message.partition(" - at `$")
    param = path.strip("`.") or None
    if param is None:
        return f"the request body has the wrong shape: {text[:1].lower()}{text[1:]}", None
    return f"{param}: {text[:1].lower()}{text[1:]}", param


def _count_keys(value: object) -> int:
    """Return how many fields all objects have together. Raises BadRequest where they nest too deep."""
    keys = 0
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        inner: list[Any] = []
        for one in level:
            keys += len(one) if isinstance(one, dict) else 0
            entries = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
            inner.extend(entry for entry in entries if isinstance(entry, dict | list))
        if not inner:
            return keys
        level = inner
    raise BadRequest(f"the request body nests deeper than {DEPTH_MAX} levels")


def tells_a_key_twice(text: bytes) -> bool:
    """Tell whether any object in JSON text has a key twice: a decoder keeps only the last of them."""
    repeated = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated = repeated or len({name for name, _ in pairs}) < len(pairs)

    try:
        json.loads(text, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return True  # it was read; that another reader cannot is reason enough for doubt
    return repeated
