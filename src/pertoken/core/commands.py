"""The commands of the ledger and their results."""

from collections.abc import Iterable
from typing import NamedTuple, assert_never

from pertoken.core.budgets import Attribution, Touch
from pertoken.core.claims import Claim, Claimed, Outcome
from pertoken.core.events import Event
from pertoken.core.holds import Hold
from pertoken.core.provider_errors import ErrorKind
from pertoken.core.trust import Disagreement


class OpenHold(NamedTuple):
    """Command: set `hold` aside on every budget it touches, all or none; with `claim`, unless that call was made."""

    hold: Hold
    revision: int  # of the directory the caller decided on; a stale one is sent back
    claim: Claim | None = None


class Resize(NamedTuple):
    """Command: set more, or less, aside for an open hold: on every budget it touches, all or none.

    The amounts are the new ones, not differences, so that asking twice is asking once.
    """

    hold_id: str
    attribution: Attribution
    opened_at_us: int
    amount_picos: int
    tokens: int
    expires_at_us: int


class Settle(NamedTuple):
    """Command: end a hold with what the call really cost."""

    hold_id: str
    event: Event
    claim: Claim | None = None
    outcome: Outcome | None = None  # what `claim` is answered with from now on
    disagreement: Disagreement | None = None  # where the provider counted more input than was held for


class Void(NamedTuple):
    """Command: let a hold go, because the provider did no work that it charges for."""

    hold_id: str
    attribution: Attribution
    opened_at_us: int
    error: ErrorKind | None = None  # how the provider failed the attempt


class Expire(NamedTuple):
    """Command: let a hold go whose owner did not end it in time."""

    hold_id: str
    attribution: Attribution
    opened_at_us: int
    now_us: int


class Record(NamedTuple):
    """Command: take in an event that was served elsewhere."""

    event: Event


class Look(NamedTuple):
    """Command: change nothing. Its result comes from the newest directory, which every transaction reads first."""


Command = OpenHold | Resize | Settle | Void | Expire | Record | Look


class Remaining(NamedTuple):
    """What a counter has left after a command, in its axis' unit."""

    touch: Touch
    held: int
    spent: int

    @property
    def left(self) -> int:
        """How much more could be held."""
        return max(0, self.touch.budget.limit - self.held - self.spent)


class Held(NamedTuple):
    """The hold is open. `tightest` is the money budget that has the least left, None when none is touched.

    `warned`: the counters that are so full that each answer is to say so.
    """

    tightest: Remaining | None
    warned: tuple[Remaining, ...] = ()


class Resized(NamedTuple):
    """The hold is as large as asked."""

    hold: Hold


class Gone(NamedTuple):
    """The hold is not open any more; nothing changed."""


class Known(NamedTuple):
    """The claim is another call's: nothing changed."""

    name: str  # that the client gave to its call
    claimed: Claimed
    same_request: bool


class Refused(NamedTuple):
    """The hold, or its growth, does not fit: `blocker` is the counter that decided, `needed` the requested amount."""

    blocker: Remaining
    needed: int


class Settled(NamedTuple):
    """The event is posted and the hold is gone."""

    event: Event
    tightest: Remaining | None


class Recorded(NamedTuple):
    """The reported event is posted."""


class Voided(NamedTuple):
    """The hold is gone, nothing was charged."""


class Duplicate(NamedTuple):
    """This was done already, with the same content; nothing changed."""


class Conflict(NamedTuple):
    """This identity exists with other content; nothing changed."""


class Stale(NamedTuple):
    """The caller decided on an older directory; nothing changed, decide again."""


class Looked(NamedTuple):
    """The directory is as new as the database."""


# The results of each command. Callers match all of them, so that mypy finds a caller that forgets a new one.
OpenResult = Held | Known | Refused | Stale | Duplicate | Conflict
ResizeResult = Resized | Refused | Gone
SettleResult = Settled | Duplicate
ReleaseResult = Voided | Duplicate  # of Void and Expire
RecordResult = Recorded | Duplicate | Conflict
EndResult = SettleResult | ReleaseResult
Result = OpenResult | ResizeResult | SettleResult | ReleaseResult | RecordResult | Looked


class PostedCounts(NamedTuple):
    """What became of recorded events: how many are new, were there already, or are there with other content."""

    new: int
    known: int
    conflicting: int


def posted(results: Iterable[RecordResult]) -> PostedCounts:
    """Return what became of recorded events."""
    new = known = conflicting = 0
    for result in results:
        match result:
            case Recorded():
                new += 1
            case Duplicate():
                known += 1
            case Conflict():
                conflicting += 1
            case _:
                assert_never(result)
    return PostedCounts(new, known, conflicting)
