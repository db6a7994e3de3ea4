"""The one value that is carried through the steps of a call, and how it ends.

identify → understand → shape → reuse → hold → forward → relay → settle → answer. What a step finds out, it adds to the
call; the story ends with an End: a refusal, or an answer. docs/ARCHITECTURE.md has what each step returns.
"""

from typing import Final

from pertoken.core.admission import Bound
from pertoken.core.claims import Claim, Outcome
from pertoken.core.commands import Remaining
from pertoken.core.errors import Refusal
from pertoken.core.events import Event
from pertoken.core.holds import Hold
from pertoken.core.usage import Reading
from pertoken.ports.exchange import Exchange
from pertoken.ports.headers import AnswerHeaders
from pertoken.ports.provider import Answer, ProviderFailed
from pertoken.ports.reuse import Note
from pertoken.services.call.heavy import Heavy
from pertoken.services.call.identify import Caller
from pertoken.services.call.request import Request
from pertoken.wire.routes import Endpoint


class Holding:
    """An open hold, and what it changed in the request."""

    __slots__ = ("bound", "claim", "hold", "output_cap", "tightest", "warned")

    def __init__(
        self,
        hold: Hold,
        bound: Bound,
        tightest: Remaining | None = None,
        output_cap: int | None = None,
        *,
        claim: Claim | None = None,
        warned: tuple[Remaining, ...] = (),
    ) -> None:
        self.hold: Final[Hold] = hold
        self.bound: Final[Bound] = bound  # what the hold pays for
        self.tightest: Final[Remaining | None] = tightest  # money budget with the least left
        self.output_cap: Final[int | None] = output_cap  # to write into the request, None: leave it
        self.claim: Final[Claim | None] = claim  # the name that the client gave to the call
        self.warned: Final[tuple[Remaining, ...]] = warned  # counters that are nearly full, as their budgets say

    def resized(self, hold: Hold, bound: Bound) -> "Holding":
        """Return the same with another hold, for another bound."""
        return Holding(hold, bound, self.tightest, self.output_cap, claim=self.claim, warned=self.warned)


class Sent:
    """How an attempt went until its answer began."""

    __slots__ = ("answered_us", "attempts", "held_us", "sent_us")

    def __init__(self, held_us: int, sent_us: int, answered_us: int | None, attempts: int) -> None:
        self.held_us: Final[int] = held_us  # when its hold was on disk
        self.sent_us: Final[int] = sent_us  # when its request was about to be sent
        self.answered_us: Final[int | None] = answered_us  # when the head of its answer was there, None: it never was
        self.attempts: Final[int] = attempts  # of the call, this one included


class Relayed:
    """What came back: the reading, the output text where no usage came, and how it ended."""

    __slots__ = (
        "failure", "first_byte_us", "hung_up", "last", "last_byte_us", "passed", "reading", "sent", "text", "tokens",
    )  # fmt: skip

    def __init__(
        self,
        reading: Reading,
        text: str | None,
        last: bytes,
        failure: ProviderFailed | None = None,
        *,
        passed: bytes = b"",
        hung_up: bool = False,
        tokens: int | None = None,
        first_byte_us: int | None = None,
        last_byte_us: int | None = None,
        sent: Sent | None = None,
    ) -> None:
        self.reading: Final[Reading] = reading
        self.text: Final[str | None] = text  # output text to count, None where the reading is enough
        self.last: Final[bytes] = last  # body (whole) or the kept-back end (streamed) that waits for the settlement
        self.failure: Final[ProviderFailed | None] = failure
        self.passed: Final[bytes] = passed  # of a stream that is kept: what was passed on before `last`
        self.hung_up: Final[bool] = hung_up  # the client was gone before the answer was whole
        self.tokens: Final[int | None] = tokens  # of the output text where it is counted already
        self.first_byte_us: Final[int | None] = first_byte_us  # when the first piece of a stream was there
        self.last_byte_us: Final[int | None] = last_byte_us  # when nothing more was to come
        self.sent: Final[Sent | None] = sent


class Call:
    """One call on its way. What a step adds is there for the steps after it, and not before."""

    __slots__ = (
        "answer", "attempt", "began_us", "body", "call_id", "caller", "changed", "charged", "endpoint", "exchange",
        "headers", "heavy", "holding", "instead", "is_begun", "is_shaped", "kept", "note", "opened_at_us", "relayed",
        "request", "said", "sent", "shaped_model", "was_asked_before",
    )  # fmt: skip

    # -- added by the steps
    caller: Caller  # identify: who calls
    request: Request  # understand: what is asked for
    holding: Holding  # hold: what is set aside; nothing for a call that is free
    changed: str | None  # forward: what policy altered in the request that was sent
    answer: Answer  # forward: the provider's answer, its head read
    sent: Sent  # forward: how it went until then
    headers: list[tuple[bytes, bytes]]  # relay: of our answer, as far as they are known before it is whole
    relayed: Relayed  # relay: what came back

    def __init__(self, exchange: Exchange, endpoint: Endpoint, call_id: str, began_us: int) -> None:
        self.exchange = exchange
        self.endpoint = endpoint
        self.call_id = call_id
        self.began_us = began_us
        self.opened_at_us = began_us  # later where it waited for room, or is tried again
        self.attempt = 1
        self.body: bytes = exchange.body  # what is asked for: another one where the request was shaped
        self.heavy: Heavy | None = exchange.heavy
        self.instead: str | None = None  # the model name that took over: a cheaper one, or a fallback
        self.is_shaped = False  # shape was asked
        self.shaped_model: str | None = None  # shape: the model name to take for the one asked for
        self.said: str | None = None  # shape: what was changed
        self.was_asked_before = False  # reuse was asked
        self.note: Note | None = None  # reuse: who wants to know how the call ends
        self.kept: Outcome | None = None  # settle: the whole answer, for the note
        self.charged: tuple[Event, ...] = ()  # of every attempt that was charged
        self.is_begun = False  # relay: the head of a stream is sent

    @property
    def hold_id(self) -> str:
        """The id of this attempt's hold, and of its event."""
        return self.call_id if self.attempt == 1 else f"{self.call_id}.{self.attempt}"

    def again(self, attempt: int, instead: str | None, now_us: int) -> None:
        """Become another attempt, which is opened now."""
        self.attempt, self.instead, self.opened_at_us = attempt, instead, now_us


class End:
    """How a call ends: what its client is answered, or why it is refused."""

    __slots__ = ("body", "headers", "is_stream", "refusal", "status", "was_admitted")

    def __init__(
        self,
        status: int,
        headers: AnswerHeaders = (),
        body: bytes = b"",
        *,
        refusal: Refusal | None = None,
        is_stream: bool = False,
        was_admitted: bool = True,
    ) -> None:
        self.status: Final[int] = status
        self.headers: Final[AnswerHeaders] = headers
        self.body: Final[bytes] = body  # or the end of it, where a stream is begun
        self.refusal: Final[Refusal | None] = refusal
        self.is_stream: Final[bool] = is_stream
        self.was_admitted: Final[bool] = was_admitted


def refused(refusal: Refusal) -> End:
    """Return the end of a call that is not admitted."""
    return End(refusal.status, refusal=refusal, was_admitted=False)
