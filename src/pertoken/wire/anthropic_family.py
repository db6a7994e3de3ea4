"""The errors and the list of models, as Anthropic's SDKs read them in every API.

An error is {"type": "error", "error": {"type", "message"}}.
"""

from collections.abc import Mapping, Sequence
from typing import Any

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
    """Return the error event that the SDKs raise as an exception while they read a stream."""
    return b"event: error\ndata: " + msgspec.json.encode(_fields(refusal)) + b"\n\n"


def _fields(refusal: Refusal) -> dict[str, object]:
    code = {"type": _TYPES[refusal.status], "message": refusal.message, "code": str(refusal.code)}
    return {"type": "error", "error": code}


def is_client(path: str, headers: Mapping[bytes, bytes], query: bytes) -> bool:  # noqa: ARG001 - the header is enough
    """Tell whether a request for the list of models comes from one of these SDKs."""
    return b"anthropic-version" in headers


def show_model(name: str, owner: str) -> dict[str, Any]:  # noqa: ARG001 - this format has no owner
    """Return one entry of the list of models."""
    born = "1970-01-01T00:00:00Z"  # the SDK requires a time; Anthropic sends this one if it has none
    return {"type": "model", "id": name, "display_name": name, "created_at": born}


def list_models(shown: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the list of models, as these SDKs expect it."""
    first, last = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
    return {"data": shown, "has_more": False, "first_id": first, "last_id": last}
