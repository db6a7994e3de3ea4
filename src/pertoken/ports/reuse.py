"""Answering a call with the answer to an identical one."""

from typing import NamedTuple, Protocol

from pertoken.core.claims import Outcome
from pertoken.core.events import Event
from pertoken.ports.asked import AskedCall


class Hit(NamedTuple):
    """An answer to give instead of the provider's."""

    outcome: Outcome  # has the provider's headers, to which pertoken's are added, and a whole body, also for a stream
    how: str  # the reason in one word, for x-pertoken-changed and the event


class Note(Protocol):
    """Receives the answer to one call."""

    def end(self, outcome: Outcome | None, events: tuple[Event, ...]) -> None:
        """Receive the answer to the call; None if it failed, was refused, or is too large to keep.

        `events` has one event for each charged attempt; the last one belongs to the answer. It is called once for each
        note, however the call ended, even if its client hung up. The headers of `outcome` are the provider's.
        """


class Reuse(Protocol):
    """Knows the answers to earlier calls.

    It is asked once for a call, after `shape`. It is not asked for free calls, or for calls that their clients name,
    because the books have the answers to those.
    """

    async def find(self, asked: AskedCall) -> Hit | Note | None:
        """Return an answer, or a note that will receive the call's answer, or None if that is of no interest.

        It may wait for an identical call that is running. Nothing is held meanwhile.
        """
