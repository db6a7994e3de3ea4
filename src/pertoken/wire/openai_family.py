"""The errors and the list of models, as OpenAI's SDKs read them in every API.

An error is {"error": {"message", "type", "param", "code"}}.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pertoken.core.errors import Code, Refusal

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "invalid_request_error",
    408: "timeout",
    404: "invalid_request_error",
    409: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_exceeded",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}


def error(refusal: Refusal) -> bytes:
    """Return the body of an error answer."""
    return msgspec.json.encode({"error": fields(refusal)})


def stream_error(refusal: Refusal) -> bytes:
    """Return the error event that the SDKs raise as an exception while they read a chat stream."""
    return b"data: " + msgspec.json.encode({"error": fields(refusal)}) + b"\n\n"


def fields(refusal: Refusal) -> dict[str, str | None]:
    """Return the fields of an error object."""
    code = "model_not_found" if refusal.code is Code.UNKNOWN_MODEL else str(refusal.code)
    kind = _TYPES[refusal.status]
    return {"message": refusal.message, "type": kind, "param": refusal.param, "code": code}


def is_client(path: str, headers: Mapping[bytes, bytes], query: bytes) -> bool:  # noqa: ARG001 - they have no mark
    """Return False: many other clients send the same request for the list of models."""
    return False


def show_model(name: str, owner: str) -> dict[str, Any]:
    """Return one entry of the list of models."""
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def list_models(shown: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the list of models, as these SDKs expect it."""
    return {"object": "list", "data": shown}
