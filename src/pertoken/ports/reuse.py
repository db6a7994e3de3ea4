"""Answering a call from what an identical one was answered."""

from typing import NamedTuple, Protocol

from pertoken.core.claims import Outcome
from pertoken.core.events import Event
from pertoken.ports.asked import Asked


class Hit(NamedTuple):
    """An answer that stands for the provider's own."""

    outcome: Outcome  # its headers are the provider's: ours are added; its body is whole, also of a stream
    how: str  # why it may be given, in a word: for x-pertoken-changed and the event


class Note(Protocol):
    """Wants to know what becomes of one call."""

    def end(self, outcome: Outcome | None, events: tuple[Event, ...]) -> None:
        """Take what the call was answered; None where that was no good, was refused, or is too large to be kept.

        `events` are of each attempt that was charged; the last is the answer's. Told once for each note, whatever
        became of the call: also where its client hung up. The headers of `outcome` are the provider's.
        """


class Reuse(Protocol):
    """Knows what calls were answered.

    It is asked once a call, after `shape`, and not for calls that are free or that their clients name: those have an
    answer of their own in the books.
    """

    async def find(self, asked: Asked) -> Hit | Note | None:
        """Return an answer; or who takes note of the one that the call will get; None: it is not of interest.

        May wait, for an identical call that is under way. Nothing is held meanwhile.
        """
