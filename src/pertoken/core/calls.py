"""The status of a call in one word, for a call that ends now and for a stored one."""

from typing import NamedTuple

from pertoken.core.budgets import Attribution
from pertoken.core.events import Event, EventStatus, is_correction
from pertoken.core.usage import Completeness

OK, REFUSED, FAILED, HUNG_UP, ESTIMATED, UNPRICED = "ok", "refused", "failed", "hung_up", "estimated", "unpriced"
CORRECTION = "correction"
# The first that fits says what a call is; `ok` is what none of the others fits. A correction is no call.
STATUSES = (REFUSED, HUNG_UP, FAILED, UNPRICED, ESTIMATED, OK, CORRECTION)

# So begin the reasons of events whose calls did not end well.
THE_CLIENT_HUNG_UP = "the client hung up"
THE_PROVIDER_FAILED = "the provider failed"
FAILURES = (THE_PROVIDER_FAILED, f"{THE_CLIENT_HUNG_UP}; {THE_PROVIDER_FAILED}")


class CallLine(NamedTuple):
    """One call that ended, or one refusal, as the log tells it: never a word of the prompt or of the answer."""

    ended_at_us: int
    call_id: str
    status: str  # one of STATUSES
    http: int  # the status that the client was answered
    took_us: int
    attribution: Attribution | None  # None: nobody knows whose it was
    events: tuple[Event, ...]  # of every attempt that was charged
    refusal: str | None  # the code of a refusal, also of one at the end of a stream
    wire: str = ""  # the format of its API, where that is known


def status_of(event: Event | None, *, refused: bool, failed: bool, hung_up: bool) -> str:
    """Return the word for a call that ends now."""
    if hung_up:
        return HUNG_UP
    if refused:
        return REFUSED
    if failed:
        return FAILED
    if event is None:
        return OK
    return UNPRICED if event.status is not EventStatus.PRICED else _counted(event)


def _counted(event: Event) -> str:
    return OK if event.completeness is Completeness.FINAL else ESTIMATED


def with_end(event: Event, failure: str | None, *, hung_up: bool) -> Event:
    """Return the event of a call, its reason beginning with how the call ended, where that was not well."""
    reason = event.reason if event.reason != failure else None
    if failure is not None and not failure.startswith(THE_CLIENT_HUNG_UP):
        failure = f"{THE_PROVIDER_FAILED}: {failure}"
    hang_up = THE_CLIENT_HUNG_UP if hung_up and not (failure or "").startswith(THE_CLIENT_HUNG_UP) else None
    told = "; ".join(part for part in (hang_up, failure, reason) if part)
    return event._replace(reason=told or None) if told != (event.reason or "") else event


def marks(event: Event) -> tuple[str, ...]:
    """Return every status that fits a stored event, the first of them the one to show."""
    if is_correction(event):
        return (CORRECTION,)
    reason = event.reason or ""
    found = (
        (HUNG_UP, reason.startswith(THE_CLIENT_HUNG_UP)),
        (FAILED, reason.startswith(FAILURES)),
        (UNPRICED, event.status is not EventStatus.PRICED),
        (ESTIMATED, event.completeness is not Completeness.FINAL),
    )
    return tuple(status for status, fits in found if fits) or (OK,)


def took_us(event: Event, gateway: str) -> int | None:
    """Return how long a call took from its head to its charge, None for what others than `gateway` report."""
    return event.recorded_at_us - event.opened_at_us if event.source == gateway else None
