"""Providers, which answer calls."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from pertoken.core.provider_errors import ErrorKind
from pertoken.ports.headers import AnswerHeaders, HeaderList


class ProviderFailed(Exception):
    """The provider could not be reached, took too long, or broke off: `kind`, None if that was the client's doing.

    `may_bill`: it had the whole request and was abandoned while it worked, so it may charge for an answer that nobody
    received.
    """

    def __init__(self, message: str, *, kind: ErrorKind | None = ErrorKind.BROKE_OFF, may_bill: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.may_bill = may_bill


class Answer(Protocol):
    """One answer of a provider. Its head has been read, its body has not."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> AnswerHeaders:
        """The header fields, names in lower case."""

    async def read(self) -> bytes:
        """Return the whole body. Raises ProviderFailed."""

    async def pour(self, sink: Callable[[bytes], bool], room: Callable[[], Awaitable[None]]) -> None:
        """Pass the body to `sink` as it arrives, and return at its end.

        If `sink` returns True, reading pauses until `room()` has returned. Raises ProviderFailed, and whatever sink and
        room raise; then the rest of the body is abandoned.
        """

    def abandon(self) -> None:
        """Close the connection now; a reader of the body gets ProviderFailed."""


class Provider(Protocol):
    """One provider as configured."""

    @property
    def name(self) -> str:
        """Its name in configuration and price book."""

    @property
    def wire(self) -> str:
        """The family of formats it speaks: openai, anthropic, gemini."""

    @property
    def asks_for_usage(self) -> bool:
        """Whether its streams carry usage when OpenAI's include_usage option asks for it, and only then."""

    @property
    def missing_key(self) -> str | None:
        """The setting that would give it its missing key; None if it has a key or needs none."""

    @property
    def prices_from(self) -> Sequence[str]:
        """The providers whose list prices apply if it has none, in order of preference."""

    @property
    def cuts_on_hangup(self) -> bool:
        """Whether its stream is closed at once when the client hangs up, instead of being read to its end."""

    @property
    def output_cap(self) -> str:
        """The field of a chat completion that it accepts as the cap on output: max_completion_tokens or max_tokens."""

    async def send(self, path: str, headers: HeaderList, body: bytes, model: str) -> Answer:
        """Send a POST with the provider's own key; `model` is its name for the model. Raises ProviderFailed."""
