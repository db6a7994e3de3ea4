"""Errors as Anthropic's SDKs read them: {"type": "error", "error": {"type", "message"}}."""

import msgspec

from pertoken.core.errors import Refusal

# https://docs.anthropic.com/en/api/errors, as read on 2026-11-23
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error(refusal: Refusal) -> bytes:
    """Return the body of an error answer."""
    return msgspec.json.encode(_fields(refusal))


def stream_error(refusal: Refusal) -> bytes:
    """Return the event that the SDKs raise from inside a stream."""
    return b"event: error\ndata: " + msgspec.json.encode(_fields(refusal)) + b"\n\n"


def _fields(refusal: Refusal) -> dict[str, object]:
    code = {"type": _TYPES[refusal.status], "message": refusal.message, "code": str(refusal.code)}
    return {"type": "error", "error": code}
