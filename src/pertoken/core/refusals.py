"""Refused calls: counts by hour, reason, budget and key, and the last calls in full for `explain`."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from pertoken.core.budgets import Attribution

WHOLE_MAX = 1_000  # kept whole, in memory and in the database
COUNTS_MAX = 10_000  # kinds between two writes; what is beyond is counted without its budget and key
MESSAGE_CHARACTERS_MAX = 500
HOUR_US = 3_600 * 10**6
NOBODY = Attribution()


class RefusedCall(NamedTuple):
    """One call that was refused before it was sent."""

    call_id: str
    at_us: int
    code: str
    message: str
    budget: str | None = None  # the name of the one that decided
    attribution: Attribution = NOBODY  # as far as it was known


OTHER_BUDGET = "another budget"  # in place of the name of a budget that may not be seen


class RefusedKind(NamedTuple):
    """A kind of refusal within an hour; empty texts where there was no budget, or no key."""

    hour_us: int
    code: str
    budget: str
    key: str


RefusedCounts = Mapping[RefusedKind, int]


class RefusedSearch(NamedTuple):
    """Which refused calls are looked for: the newest `limit` of those that fit."""

    where: Mapping[str, str]  # key, team, customer, user, provider, model, conversation, code, budget
    since_us: int
    until_us: int
    limit: int
    before: tuple[int, str] | None = None  # (at_us, call_id) of the last one of the page before


class Batch(NamedTuple):
    """What was refused since the last write."""

    counts: RefusedCounts
    whole: tuple[RefusedCall, ...]


class RefusedCalls:
    """What was refused and is not yet written. Used by one thread."""

    def __init__(self) -> None:
        self._counts: dict[RefusedKind, int] = {}
        self._whole: deque[RefusedCall] = deque(maxlen=WHOLE_MAX)

    def add(self, call: RefusedCall) -> None:
        """Count a call, and keep it while it is one of the last."""
        self._count(
            RefusedKind(call.at_us - call.at_us % HOUR_US, call.code, call.budget or "", call.attribution.key or ""), 1
        )
        self._whole.append(call._replace(message=call.message[:MESSAGE_CHARACTERS_MAX]))

    def take(self) -> Batch | None:
        """Return what is to be written and forget it, None where there is nothing."""
        if not self._counts:
            return None
        batch = Batch(self._counts, tuple(self._whole))
        self._counts = {}
        self._whole.clear()
        return batch

    def put_back(self, batch: Batch) -> None:
        """Remember again what could not be written."""
        for kind, calls in batch.counts.items():
            self._count(kind, calls)
        later = tuple(self._whole)
        self._whole.clear()
        self._whole.extend((*batch.whole, *later))

    def _count(self, kind: RefusedKind, calls: int) -> None:
        if kind not in self._counts and len(self._counts) >= COUNTS_MAX:
            kind = kind._replace(budget="", key="")
        self._counts[kind] = self._counts.get(kind, 0) + calls
