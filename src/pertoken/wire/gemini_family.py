"""The errors and the list of models, as Google's SDKs read them in every API.

An error is {"error": {"code", "message", "status", "details"}}.
"""

from collections.abc import Mapping, Sequence
from typing import Any

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
    """Return the error event that the SDKs raise as an exception while they read a stream."""
    return b"data: " + error(refusal) + b"\r\n\r\n"


def is_client(path: str, headers: Mapping[bytes, bytes], query: bytes) -> bool:
    """Tell whether a request for the list of models comes from one of these SDKs."""
    return path.startswith("/v1beta/") or b"x-goog-api-key" in headers or b"key=" in query


def show_model(name: str, owner: str) -> dict[str, Any]:  # noqa: ARG001 - this format has no owner
    """Return one entry of the list of models."""
    methods = ["generateContent", "countTokens", "embedContent"]
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}


def list_models(shown: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the list of models, as these SDKs expect it."""
    return {"models": shown}
