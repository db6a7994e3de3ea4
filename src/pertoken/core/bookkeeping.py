"""Double entry: which accounts exist, and what is posted to them for the events of a transaction.

What an event costs is owed to its provider: the account of costs gains it, the account of what is payable loses it. So
the postings of an entry come to zero, and an account's balance is the sum of its postings.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from pertoken.core.events import Event, OfCorrection


class AccountKind(StrEnum):
    """What an account is for: the beginning of its name."""

    PROVIDER_COST = "provider_cost"
    PROVIDER_PAYABLE = "provider_payable"


class EntryKind(StrEnum):
    """Why an entry was posted."""

    USAGE = "usage"
    CORRECTION = "correction"


# An enum's member costs three look-ups where it is used.
USAGE: Final = EntryKind.USAGE
CORRECTION: Final = EntryKind.CORRECTION


OccasionKey = tuple[EntryKind, str, str]  # equal to an `Occasion`


class Occasion(NamedTuple):
    """What the events of one entry have in common."""

    kind: EntryKind
    provider: str
    currency: str


class Posting(NamedTuple):
    """An amount that an account gains, in picos of the entry's currency."""

    account: str
    amount_picos: int


class Entry(NamedTuple):
    """What is posted on one occasion; its postings come to zero."""

    occasion: Occasion
    postings: tuple[Posting, ...]


def account_of(kind: AccountKind, owner: str) -> str:
    """Return an account's name."""
    return f"{kind}:{owner}"


def owner_of(account: str) -> str:
    """Return whose account it is."""
    return account.partition(":")[2]


def is_of(kind: AccountKind, account: str) -> bool:
    """Tell whether an account is of a kind."""
    return account.startswith(f"{kind}:")


def occasion_of(event: Event) -> OccasionKey:
    """Return on which occasion the cost of an event is posted: a key, which is made faster than an `Occasion`."""
    kind = CORRECTION if isinstance(event.of, OfCorrection) else USAGE
    return kind, event.attribution.provider or "", event.currency


def entries_of(events: Iterable[Event]) -> list[Entry]:
    """Return what is posted for events of one transaction: an entry for each occasion where something was spent."""
    sums: dict[OccasionKey, int] = {}
    for event in events:
        if event.cost_picos:
            key = occasion_of(event)
            sums[key] = sums.get(key, 0) + event.cost_picos
    return [Entry(Occasion(*key), _owed(key[1], picos)) for key, picos in sums.items()]


def _owed(provider: str, picos: int) -> tuple[Posting, ...]:
    return (
        Posting(account_of(AccountKind.PROVIDER_COST, provider), picos),
        Posting(account_of(AccountKind.PROVIDER_PAYABLE, provider), -picos),
    )
