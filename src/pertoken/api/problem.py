"""Why a request to the control plane is refused: codes with their status and meaning, and the error body."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

DOCUMENT = "/api/openapi.json"


class Problem(StrEnum):
    """What is wrong."""

    INVALID_JSON = "invalid_json"
    INVALID_PARAMETER = "invalid_parameter"
    UNKNOWN_KEY = "unknown_key"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NAME_TAKEN = "name_taken"
    EVENT_CONFLICT = "event_conflict"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INVALID_FIELD = "invalid_field"
    INTERNAL = "internal"
    BUSY = "busy"
    STORE_UNAVAILABLE = "store_unavailable"


class Meaning(NamedTuple):
    """A problem's HTTP status, its kind, and what it means."""

    status: int
    type: str
    description: str


MEANINGS: Mapping[Problem, Meaning] = {
    Problem.INVALID_JSON: Meaning(400, "invalid_request", "The body is not JSON, or is nested too deeply."),
    Problem.INVALID_PARAMETER: Meaning(
        400, "invalid_request", "A header, a query parameter, a cursor or a part of the path cannot be read."
    ),
    Problem.UNKNOWN_KEY: Meaning(
        401, "authentication", "There is no admin key, or it is unknown, expired or revoked. See: pertoken admin list."
    ),
    Problem.FORBIDDEN: Meaning(
        403, "permission", "The admin key's role may not do this, or may not do it to another team or customer."
    ),
    Problem.NOT_FOUND: Meaning(404, "not_found", "It does not exist, or this key may not see it."),
    Problem.METHOD_NOT_ALLOWED: Meaning(405, "invalid_request", "The path accepts other methods: see Allow."),
    Problem.NAME_TAKEN: Meaning(409, "conflict", "The name is already in use."),
    Problem.EVENT_CONFLICT: Meaning(409, "conflict", "An event of this source and id exists with other content."),
    Problem.IDEMPOTENCY_CONFLICT: Meaning(
        409, "conflict", "The Idempotency-Key was used for another request within the last day."
    ),
    Problem.TOO_LARGE: Meaning(413, "invalid_request", "The body is too large for this path."),
    Problem.UNSUPPORTED_MEDIA_TYPE: Meaning(415, "invalid_request", "The body must be application/json."),
    Problem.INVALID_FIELD: Meaning(422, "invalid_request", "The body is JSON, but does not fit this path."),
    Problem.INTERNAL: Meaning(500, "internal", "pertoken made a mistake; its log has the details."),
    Problem.BUSY: Meaning(503, "unavailable", "Too many requests to the control plane are waiting. Try again."),
    Problem.STORE_UNAVAILABLE: Meaning(
        503, "unavailable", "The database is unavailable. Try again: nothing counts twice."
    ),
}


class Error(msgspec.Struct):
    """Why a request was refused. `doc_url` leads to the explanation of the code."""

    type: str
    code: Problem
    message: str
    param: str | None
    doc_url: str


class ApiRefused(Exception):
    """A refused request. `param` names the wrong field or parameter."""

    def __init__(self, problem: Problem, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.problem = problem
        self.param = param

    @property
    def status(self) -> int:
        """The HTTP status."""
        return MEANINGS[self.problem].status

    def error(self) -> Error:
        """Return the body that answers the request."""
        url = f"{DOCUMENT}#/x-errors/{self.problem}"
        return Error(MEANINGS[self.problem].type, self.problem, str(self), self.param, url)
