"""JSON request bodies: decode them with clear errors, and replace a few fields without changing the others."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from pertoken.wire.format import BadRequest

DEPTH_MAX = 200  # levels of nesting; no real prompt nests deeper
COUNT_MAX = 2**53
CHOICES_MAX = 1_000  # OpenAI accepts at most 128, Gemini at most 8

_SPACED = re.compile(rb'"\s+:')

_T = TypeVar("_T")
_object = msgspec.json.Decoder(dict[str, Any])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.encode


def decode(decoder: "msgspec.json.Decoder[_T]", body: bytes) -> _T:
    """Return what `decoder` reads from a request body. Raises BadRequest, which names the fault and the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(*_where(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the request body is not valid json: {error}") from error


def decode_object(body: bytes) -> dict[str, Any]:
    """Return a request body as a dict.

    Raises BadRequest if it is not an object, if it nests deeper than DEPTH_MAX levels, or if a field is repeated: the
    provider might read the other value of that field.
    """
    value = decode(_object, body)
    keys = _count_keys(value)
    # Each key ends in a quote and a colon. If there are no more of these than decoded keys, no key is repeated.
    if (body.count(b'":') != keys or _SPACED.search(body) is not None) and tells_a_key_twice(body):
        raise BadRequest("the request body has a field twice in one object")
    return value


def replace_fields(body: bytes, replacements: Mapping[str, object], removed: str | None = None) -> bytes:
    """Return `body` with some top-level fields replaced and one removed. Every other value keeps its bytes.

    Raises BadRequest if the body is not a JSON object.
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
    """Return the bytes of one top-level field, or None if it is absent or null.

    Raises BadRequest if the body is not a JSON object.
    """
    raw = bytes(decode(_fields, body).get(key, b""))
    return raw if raw and raw != b"null" else None


def optional_count(value: object, param: str) -> int | None:
    """Return a non-negative whole number, or None for null. Raises BadRequest, naming `param`, for anything else."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 100.0, as some clients write
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        raise BadRequest(f"{param} must be a non-negative whole number, not {value!r:.80}", param)
    return value


def positive_count(value: object, param: str) -> int | None:
    """Return a positive whole number, or None for null and zero: servers read zero as not set."""
    return None if value is None else optional_count(value, param) or None


def choices_count(value: object, param: str) -> int:
    """Return how many answers the client wants; one by default. Raises BadRequest for more than CHOICES_MAX."""
    choices = positive_count(value, param) or 1
    if choices > CHOICES_MAX:
        raise BadRequest(f"{param} must be at most {CHOICES_MAX}, not {choices}", param)
    return choices


def text_map(value: object) -> dict[str, str]:
    """Return the entries of a metadata object that are texts or whole numbers; an empty dict for anything else."""
    if not isinstance(value, dict):
        return {}
    return {key: str(entry) for key, entry in value.items() if isinstance(entry, str | int)}


def optional_text(value: object) -> str | None:
    """Return a non-empty text, or None for anything else."""
    return value if isinstance(value, str) and value else None


def _where(message: str) -> tuple[str, str | None]:
    """Turn msgspec's "... - at `$.max_tokens`" into a message and the field at fault."""
    text, _, path = message.partition(" - at `$")
    param = path.strip("`.") or None
    if param is None:
        return f"the request body has the wrong shape: {text[:1].lower()}{text[1:]}", None
    return f"{param}: {text[:1].lower()}{text[1:]}", param


def _count_keys(value: object) -> int:
    """Return how many fields all objects have together. Raises BadRequest if they nest deeper than DEPTH_MAX."""
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
    """Tell whether any object in a JSON text repeats a key. A decoder keeps only the last value of a repeated key."""
    repeated = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        repeated = repeated or len({name for name, _ in pairs}) < len(pairs)

    try:
        json.loads(text, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return True  # msgspec could read this text; if json cannot, other readers may differ too
    return repeated
