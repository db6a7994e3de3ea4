"""Holds: the amounts reserved for a call before it is made, and how each hold ends."""

from enum import StrEnum
from typing import NamedTuple

from pertoken.core.budgets import Attribution
from pertoken.core.provider_errors import ErrorKind


class HoldEnd(StrEnum):
    """How a hold ended. A settled one lives on in its event; the others are kept as ended."""

    SETTLED = "settled"
    VOIDED = "voided"
    EXPIRED = "expired"


class Hold(NamedTuple):
    """An amount set aside for one attempt, with an identity, an owner and an expiry."""

    hold_id: str
    attribution: Attribution
    amount_picos: int
    tokens: int
    opened_at_us: int
    expires_at_us: int
    owner: str
    currency: str = "USD"  # of `amount_picos`


class EndedHold(NamedTuple):
    """A hold that was released without a charge."""

    hold: Hold
    end: HoldEnd
    error: ErrorKind | None = None  # how its provider failed the attempt
