"""The client's side of a call."""

from collections.abc import Callable
from typing import Any, Protocol

from pertoken.ports.headers import AnswerHeaders, HeaderList


class Exchange(Protocol):
    """One call as the gateway received it, and the means to answer its client."""

    @property
    def query(self) -> bytes:
        """The query string of the request target."""

    @property
    def headers(self) -> HeaderList:
        """The header fields, names in lower case."""

    @property
    def body(self) -> bytes:
        """The whole body."""

    @property
    def heavy(self) -> Any:
        """The body as a `services.call.heavy.Heavy` if a separate process reads it, otherwise None."""

    @property
    def gone(self) -> bool:
        """Whether the client hung up."""

    def when_gone(self, do: Callable[[], None]) -> None:
        """Call `do` when the client hangs up; at once if it already has."""

    def start(self, status: int, headers: AnswerHeaders) -> None:
        """Send the head of a streamed answer."""

    def write(self, chunk: bytes) -> bool:
        """Send a piece of a streamed answer. True: the client is behind; call `drain` before the next piece."""

    async def drain(self) -> None:
        """Wait until the client has read enough of the answer."""

    def finish(self, chunk: bytes = b"") -> None:
        """Send the last piece and end the streamed answer."""

    def answer(self, status: int, headers: AnswerHeaders, body: bytes) -> None:
        """Send a whole answer."""
