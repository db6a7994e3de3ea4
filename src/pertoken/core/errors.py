"""Refusals: what pertoken answers instead of serving a call.

A refusal is a value, not an exception: the decision that ends a story returns it, the edge writes it in the client's
own wire format. Codes stand in their order of precedence: when several would apply, the earlier one is given.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from pertoken.core.budgets import Attribution


class Code(StrEnum):
    """Why a call was refused, in order of precedence."""

    NOT_FOUND = "not_found"
    REQUEST_TIMEOUT = "request_timeout"
    TOO_LARGE = "too_large"
    INVALID_REQUEST = "invalid_request"
    UNKNOWN_KEY = "unknown_key"
    FORBIDDEN = "forbidden"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    UNKNOWN_MODEL = "unknown_model"
    PRICE_UNKNOWN = "price_unknown"
    PROVIDER_KEY_MISSING = "provider_key_missing"
    RATE_LIMITED = "rate_limited"
    BUDGET_EXCEEDED = "budget_exceeded"
    OVERLOADED = "overloaded"
    STORE_UNAVAILABLE = "store_unavailable"
    PROVIDER_UNREACHABLE = "provider_unreachable"
    PROVIDER_TIMEOUT = "provider_timeout"
    PROVIDER_FAILED = "provider_failed"
    INTERNAL = "internal"


STATUS: Mapping[Code, int] = {
    Code.NOT_FOUND: 404,
    Code.REQUEST_TIMEOUT: 408,
    Code.TOO_LARGE: 413,
    Code.INVALID_REQUEST: 400,
    Code.UNKNOWN_KEY: 401,
    Code.FORBIDDEN: 403,
    Code.IDEMPOTENCY_CONFLICT: 409,
    Code.UNKNOWN_MODEL: 404,
    Code.PRICE_UNKNOWN: 402,
    Code.PROVIDER_KEY_MISSING: 503,
    Code.RATE_LIMITED: 429,
    Code.BUDGET_EXCEEDED: 402,
    Code.OVERLOADED: 503,
    Code.STORE_UNAVAILABLE: 503,
    Code.PROVIDER_UNREACHABLE: 502,
    Code.PROVIDER_TIMEOUT: 504,
    Code.PROVIDER_FAILED: 502,
    Code.INTERNAL: 500,
}


class Refusal(NamedTuple):
    """One refusal: the code decides the status, the message tells what happened and the next step."""

    code: Code
    message: str
    param: str | None = None  # the request field at fault
    retry_after_s: int | None = None  # when asking again can succeed
    may_wait: bool = False  # room may come back soon, and policy lets the call wait for it
    budget: str | None = None  # the name of the one that decided
    attribution: Attribution | None = None  # of the call, as far as it was known

    @property
    def status(self) -> int:
        """The HTTP status this refusal is answered with."""
        return STATUS[self.code]
