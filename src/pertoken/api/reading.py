"""Reads an HTTP request: the secret, the name in the path, the query, the body. Invalid values are refused."""

import re
from typing import Any

import msgspec
from starlette.requests import Request

from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Route
from pertoken.catalogs.shapes import choices
from pertoken.core.texts import UNSAFE, nearest
from pertoken.wire.structure import count_values, values_bound

NAME_MAX = 1_000
PARAMETER_MAX = 2 * NAME_MAX  # characters of a query parameter, or of the name in a path
IDEMPOTENCY_KEY_MAX = 200
IDEMPOTENCY_KEY = "^[!-~]([ -~]*[!-~])?$(?!\\n)"
EVENT_VALUES_MAX = 10_000  # fields, entries, objects and lists of one event
EVENTS_VALUES_MAX = 500_000  # of all events of one request
_AT = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")


def read_secret(request: Request) -> bytes:
    """Return the secret of the bearer token. Raises ApiRefused."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise ApiRefused(Problem.UNKNOWN_KEY, "no admin key: send one as a bearer token, Authorization: Bearer ...")
    return secret.strip().encode("latin-1", "replace")


def read_name(request: Request, route: Route) -> str:
    """Return the part of the path that names one thing. Raises ApiRefused."""
    if route.parameter is None:
        return ""
    name: str = request.path_params[route.parameter]
    if not name:
        raise ApiRefused(Problem.NOT_FOUND, f"no {route.parameter} in the path", route.parameter)
    return _checked(name, route.parameter)


def read_query(request: Request, route: Route) -> Any:
    """Return the query parameters as the route's struct. Raises ApiRefused."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise ApiRefused(Problem.INVALID_PARAMETER, f"the parameter {name!r} is given twice", name[:NAME_MAX])
        given[name] = _checked(value, name[:NAME_MAX])
    try:
        return msgspec.convert(given, route.query, strict=False)
    except msgspec.ValidationError as error:
        message, param = _said(error, route.query)
        raise ApiRefused(Problem.INVALID_PARAMETER, message, param) from error


def read_idempotency_key(request: Request) -> str | None:
    """Return the Idempotency-Key of the request; None if it has none. Raises ApiRefused."""
    name = request.headers.get("idempotency-key")
    if name is not None and not (len(name) <= IDEMPOTENCY_KEY_MAX and re.match(IDEMPOTENCY_KEY, name)):
        message = f"Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_MAX} printable ASCII characters"
        raise ApiRefused(Problem.INVALID_PARAMETER, message, "Idempotency-Key")
    return name


async def read_body(request: Request, route: Route) -> bytes | None:
    """Return the body; None if the route takes none. Raises ApiRefused if it is too large or not JSON."""
    if route.body is None:
        return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiRefused(Problem.UNSUPPORTED_MEDIA_TYPE, f"send application/json, not {kind or 'an unnamed type'!r}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > route.body_bytes_max:
            raise ApiRefused(Problem.TOO_LARGE, f"the body is larger than {route.body_bytes_max:,} bytes")
    return bytes(body)


def _decode_events(raw: bytes) -> Any:
    """Return one event, or a list of events. Events are read one by one, because all at once would delay every call."""
    is_list = raw.lstrip()[:1] == b"["
    most = EVENTS_VALUES_MAX if is_list else EVENT_VALUES_MAX
    if values_bound(raw, most) > most and count_values(raw, most) > most:
        what = "events have" if is_list else "event has"
        raise ApiRefused(
            Problem.TOO_LARGE, f"the {what} more than {most:,} values (fields, entries, objects and lists)"
        )
    return msgspec.json.decode(raw, type=list[msgspec.Raw] if is_list else Any)


def decode_event(raw: msgspec.Raw) -> Any:
    """Return one of a list of events. Raises ValueError where it cannot be read."""
    body = bytes(raw)
    if values_bound(body, EVENT_VALUES_MAX) > EVENT_VALUES_MAX < count_values(body, EVENT_VALUES_MAX):
        raise ValueError(f"it has more than {EVENT_VALUES_MAX:,} values")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it cannot be read: {error}") from error


def decode_body(raw: bytes, route: Route) -> Any:
    """Return a body as the route's struct, and events unchecked, because each is checked later. Raises ApiRefused."""
    try:
        if route.takes_events:
            return _decode_events(raw)
        if b"." not in raw:
            return msgspec.json.decode(raw, type=route.body)
        return msgspec.convert(_whole_numbers(msgspec.json.decode(raw)), route.body)
    except msgspec.ValidationError as error:
        message, param = _said(error, route.body)
        raise ApiRefused(Problem.INVALID_FIELD, message, param) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiRefused(Problem.INVALID_JSON, f"the body is not json: {error}") from error
    except RecursionError as error:
        raise ApiRefused(Problem.INVALID_JSON, "the body is nested too deeply") from error


def _whole_numbers(value: Any) -> Any:
    """Return a JSON value with 3.0 as 3, because they are the same number in JSON."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole_numbers(inner) for name, inner in value.items()}
    return [_whole_numbers(inner) for inner in value] if isinstance(value, list) else value


def _checked(value: str, param: str) -> str:
    if len(value) > PARAMETER_MAX or UNSAFE.search(value):
        raise ApiRefused(Problem.INVALID_PARAMETER, f"{param} is too long, or has control characters", param)
    return value


def _said(error: msgspec.ValidationError, shape: Any) -> tuple[str, str | None]:
    """Return a validation error's text in lower case, and its field; for a misspelt field also the nearest one."""
    text = str(error)
    found = _AT.search(text)
    message = text[: found.start()] if found else text
    if "matching regex" in message:
        message = "must be a text without control characters, of the form that the schema says"
    unknown = re.search(r"unknown field `(.*)`", text) or re.search(r"required field `(.*)`", text)
    place = found[1] if found else ""
    misspelt = re.search(r"unknown field `(.*)`", text)
    near = nearest(misspelt[1], getattr(shape, "__struct_fields__", ())) if misspelt else None
    if near is not None:
        message += f"; did you mean {near}?"
    elif message.startswith("Invalid enum value") and (words := choices(shape, place)):
        message += f"; write one of: {', '.join(words)}"
    field = ".".join(part for part in (place, unknown[1] if unknown else "") if part)
    return message[:1].lower() + message[1:], field or None
