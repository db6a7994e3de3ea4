"""The protocol of a wire format, and the values that its methods take and return.

A format is a module that knows one API. It reads what a bound on cost needs from a request, rewrites the few fields
that policy may change, reads usage from a whole answer or from a stream, and writes errors as the provider's own SDK
expects them. All other fields pass through unchanged.
"""

from typing import Any, NamedTuple, Protocol

from pertoken.core.errors import Refusal
from pertoken.core.facts import RequestFacts
from pertoken.core.media import Media
from pertoken.core.usage import Reading
from pertoken.wire.usage_table import UsageTable


class BadRequest(Exception):
    """The body is not a request of this API; `param` names the field at fault, if there is one."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class Content(NamedTuple):
    """Everything in a request that a model reads. It gives a closer bound on tokens than the length of the body."""

    texts: tuple[str, ...]
    messages: int = 0
    names: int = 0
    tools_json: tuple[bytes, ...] = ()
    media: tuple[Media, ...] = ()


class RequestChange(NamedTuple):
    """What policy writes into a request. None leaves a field unchanged."""

    model: str | None = None
    output_max: int | None = None
    output_field: str | None = None  # which field gets the cap, in an API that has two
    include_usage: bool = False


class UnreadEvents(NamedTuple):
    """Events of a stream that take too long to parse on the event loop."""

    events: bytes
    args: tuple[Any, ...]  # further arguments of `stream.look_at`, after the events


class StreamReader(Protocol):
    """Reads usage from one streamed answer while it passes through."""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes of the stream; return the bytes that may go to the client now.

        Bytes that end the answer are held back, so that a client never sees the end before the settlement.
        """

    def close(self) -> None:
        """Note that the stream has ended. After this, `unread` may hold events once more."""

    def end(self) -> bytes:
        """Return the bytes that were held back. Call this only when the settlement is on disk."""

    def reading(self) -> Reading:
        """Return what the stream has said about usage so far."""

    def text(self, *, at_end: bool = True) -> str:
        """Return the output text so far, to count it if no usage came.

        With `at_end` False, an unfinished event is left out, so that it is not parsed again with every chunk.
        """

    @property
    def complete(self) -> bool:
        """Whether the answer's own end marker was seen."""

    @property
    def unread(self) -> UnreadEvents | None:
        """Events that `stream.look_at` must read in another process before more bytes go out; None for no events."""

    def take(self, looked: Any) -> bytes:
        """Take the result for the unread events, or None if they could not be read; return bytes for the client."""


class Format(Protocol):
    """One API of one family of providers."""

    name: str
    USAGE: UsageTable  # how to read usage if the provider has no dialect of its own

    def read_request(self, body: bytes, path_model: str | None) -> RequestFacts:
        """Return the facts of a request. Raises BadRequest if the body is not a request of this API."""

    def read_content(self, body: bytes) -> Content:
        """Return everything that the model will read. Raises BadRequest if the body has the wrong shape."""

    def rewrite(self, body: bytes, change: RequestChange) -> bytes:
        """Return `body` with only the fields in `change` replaced. All other values keep their bytes."""

    def read_answer(self, body: bytes, rows: UsageTable) -> Reading:
        """Return what a whole answer says about usage, in the dialect of `rows`."""

    def answer_text(self, body: bytes) -> str:
        """Return the output text of a whole answer, to count it if no usage came."""

    def stream_reader(self, facts: RequestFacts, rows: UsageTable) -> StreamReader:
        """Return a reader for one streamed answer in the dialect of `rows`."""

    def error(self, refusal: Refusal) -> bytes:
        """Return an error body that this API's SDKs turn into their own exception."""

    def stream_error(self, refusal: Refusal) -> bytes:
        """Return the error event that ends a stream after the response has begun."""
