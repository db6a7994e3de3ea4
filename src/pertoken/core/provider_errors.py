"""The kinds of errors of providers, and how roll-ups count them.

An attempt that its provider failed has one kind. If the provider may bill the attempt, its event says the kind. If not,
its hold is voided and says it. Both are counted in one mapping with the latency of calls (`core.latency`), each kind
under a number of its own.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class ErrorKind(StrEnum):
    """What went wrong. Stored roll-ups have the places of kinds, so a new kind comes last."""

    NOT_SENT = "not_sent"  # the request could not be made as the provider needs it
    UNREACHABLE = "unreachable"  # there was no connection
    TIMED_OUT = "timed_out"
    BROKE_OFF = "broke_off"  # the answer ended early, or could not be read
    CUT = "cut"  # the stream made more than was held for it, so it was cut
    RATE_LIMITED = "rate_limited"  # 429
    DENIED = "denied"  # 401 or 403: the provider's key is wrong, or lacks a permission
    REJECTED = "rejected"  # another status below 500: mostly the request was wrong
    SERVER_ERROR = "server_error"  # 500 and above


FIRST: Final = 200  # the place of the first kind, after the buckets of latency
PLACES: Final[Mapping[ErrorKind, int]] = {kind: FIRST + number for number, kind in enumerate(ErrorKind)}
_OF_STATUS: Final = {401: ErrorKind.DENIED, 403: ErrorKind.DENIED, 429: ErrorKind.RATE_LIMITED}


def kind_of_status(status: int) -> ErrorKind:
    """Return the kind of an answer with a status of 400 or above."""
    return _OF_STATUS.get(status) or (ErrorKind.SERVER_ERROR if status >= 500 else ErrorKind.REJECTED)


def errors_of(counts: Mapping[int, int]) -> dict[ErrorKind, int]:
    """Return how many attempts failed in each way, of the counts of a roll-up or of several; no kind has 0."""
    return {kind: counts[place] for kind, place in PLACES.items() if counts.get(place)}


def without_errors(counts: Mapping[int, int]) -> dict[int, int]:
    """Return counts without those of errors."""
    return {place: number for place, number in counts.items() if place < FIRST}
