"""Errors as Google's SDKs read them: {"error": {"code", "message", "status", "details"}}."""

import msgspec

from pertoken.core.errors import Refusal

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error(refusal: Refusal) -> bytes:
    """Return the body of an error answer."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": str(refusal.code), "domain": "pertoken"}
    fields = {
        "code": refusal.status,
        "message": refusal.message,
        "status": _STATUSES[refusal.status],
        "details": [info],
    }
    return msgspec.json.encode({"error": fields})


def stream_error(refusal: Refusal) -> bytes:
    """Return the event that the SDKs raise from inside a stream."""
    return b"data: " + error(refusal) + b"\r\n\r\n"
