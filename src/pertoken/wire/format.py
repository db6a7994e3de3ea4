"""What every wire format can do, and the values it speaks in.

A format is a module-sized object that knows one API: it reads from a request what a bound needs, rewrites the few
fields that policy may change, reads usage from a whole answer or from a stream, and writes errors as the provider's
own SDK expects them. Everything it does not name passes through untouched.
"""

from typing import Any, NamedTuple, Protocol

from pertoken.core.errors import Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.media import Media
from pertoken.core.usage import Reading
from pertoken.wire.usage_table import UsageTable


class BadRequest(Exception):
    """The request body cannot be read as this API's request."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class Content(NamedTuple):
    """All that a model reads of a request, for a closer bound than the body's length."""

    texts: tuple[str, ...]
    messages: int = 0
    names: int = 0
    tools_json: tuple[bytes, ...] = ()
    media: tuple[Media, ...] = ()


class RequestChange(NamedTuple):
    """What policy writes into a request; None leaves a field alone."""

    model: str | None = None
    output_max: int | None = None
    output_field: str | None = None  # where the cap is written, where an API has two fields for it
    include_usage: bool = False


class UnreadEvents(NamedTuple):
    """Events of a stream that would take too long to read at once."""

    events: bytes
    args: tuple[Any, ...]  # of the work that reads them, beside the events


class StreamReader(Protocol):
    """Watches one streamed answer go by."""

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes as they arrive; return those that may go to the client now.

        Bytes that end the answer are kept back, so that a client never sees the end before the settlement.
        """

    def close(self) -> None:
        """Take it that no more comes. Then there may be something unread once more."""

    def end(self) -> bytes:
        """Return what was kept back, once the settlement is on disk."""

    def reading(self) -> Reading:
        """Return what the stream has said about usage so far."""

    def text(self, *, at_end: bool = True) -> str:
        """Return the output text seen so far, for counting where no usage came.

        While more comes, an event that is not yet whole has no text: it would be parsed again and again.
        """

    @property
    def complete(self) -> bool:
        """Whether the answer's own end marker was seen."""

    @property
    def unread(self) -> UnreadEvents | None:
        """Events that must be read apart, by `stream.look_at`, before anything goes on; None: there are none."""

    def take(self, looked: Any) -> bytes:
        """Take what was found in them, or None where nobody could read them; return what may go to the client now."""


class Format(Protocol):
    """One API of one family of providers."""

    name: str
    USAGE: UsageTable  # how usage is told where a provider has no dialect of its own

    def read_request(self, body: bytes, path_model: str | None) -> RequestFacts:
        """Return the facts of a request. Raises BadRequest when it is none."""

    def read_content(self, body: bytes) -> Content:
        """Return everything the model will read. Raises BadRequest when its shape is wrong."""

    def rewrite(self, body: bytes, change: RequestChange) -> bytes:
        """Return `body` with only the fields of `change` written anew; all other bytes keep their values."""

    def read_answer(self, body: bytes, rows: UsageTable) -> Reading:
        """Return what a whole answer says about usage, in the dialect of `rows`."""

    def answer_text(self, body: bytes) -> str:
        """Return the output text of a whole answer, for counting where no usage came."""

    def stream_reader(self, facts: RequestFacts, rows: UsageTable) -> StreamReader:
        """Return a reader for one streamed answer in the dialect of `rows`."""

    def error(self, refusal: Refusal) -> bytes:
        """Return the body that this API's SDKs turn into their own exception."""

    def stream_error(self, refusal: Refusal) -> bytes:
        """Return the in-band error event that ends a stream which can no longer be answered."""
