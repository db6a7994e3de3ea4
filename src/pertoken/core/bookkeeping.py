"""Double entry: which accounts exist, and what is posted to them for the events of a transaction.

`RULES` is the table: a rule takes an amount of an event, and one account of its owner gains it, the other loses it. So
the postings of an entry come to zero, and an account's balance is the sum of its postings. What an event costs is owed
to its provider. Another amount of events is another row, with two more kinds of accounts: who writes entries or adds
them up needs only their postings.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from operator import attrgetter
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


class PostingRule(NamedTuple):
    """What is posted for one amount of an event."""

    gains: AccountKind
    loses: AccountKind
    owner: Callable[[Event], str | None]  # whose accounts
    picos: Callable[[Event], int | None]  # in the currency of the event


RULES: Final = (
    PostingRule(
        AccountKind.PROVIDER_COST,
        AccountKind.PROVIDER_PAYABLE,
        attrgetter("attribution.provider"),
        attrgetter("cost_picos"),
    ),
)

Occasion = tuple[EntryKind, str, str]  # what the events of one entry have in common: kind, provider, currency


class Posting(NamedTuple):
    """An amount that an account gains, in picos of the entry's currency."""

    account: str
    amount_picos: int


class Entry(NamedTuple):
    """What is posted together; the postings come to zero."""

    kind: EntryKind
    currency: str
    postings: tuple[Posting, ...]


class Bookings(NamedTuple):
    """What is posted for the events of one transaction."""

    entries: dict[Occasion, Entry]
    occasions: list[Occasion | None]  # of each event, in their order; None: nothing is posted for it


NOT_BOOKED: Final = Bookings({}, [])


def account_of(kind: AccountKind, owner: str) -> str:
    """Return an account's name."""
    return f"{kind}:{owner}"


def owner_of(account: str) -> str:
    """Return whose account it is."""
    return account.partition(":")[2]


def is_of(kind: AccountKind, account: str) -> bool:
    """Tell whether an account is of a kind."""
    return account.startswith(f"{kind}:")


def book(events: Iterable[Event]) -> Bookings:
    """Return what is posted for events of one transaction: an entry for each occasion where there is an amount."""
    sums: dict[Occasion, dict[tuple[int, str], int]] = {}
    occasions: list[Occasion | None] = []
    for event in events:
        occasion: Occasion | None = None
        for number, (_, _, owner, amount) in _NUMBERED:
            picos = amount(event)
            if picos:
                if occasion is None:
                    kind = CORRECTION if isinstance(event.of, OfCorrection) else USAGE
                    occasion = kind, event.attribution.provider or "", event.currency
                key = number, owner(event) or ""
                of_entry = sums.get(occasion)
                if of_entry is None:
                    of_entry = sums[occasion] = {}
                of_entry[key] = of_entry.get(key, 0) + picos
        occasions.append(occasion)
    return Bookings({occasion: _entry(occasion, amounts) for occasion, amounts in sums.items()}, occasions)


_NUMBERED: Final = tuple(enumerate(RULES))


def _entry(occasion: Occasion, amounts: dict[tuple[int, str], int]) -> Entry:
    kind, _, currency = occasion
    postings: list[Posting] = []
    for (number, owner), picos in amounts.items():
        rule = RULES[number]
        postings += (Posting(account_of(rule.gains, owner), picos), Posting(account_of(rule.loses, owner), -picos))
    return Entry(kind, currency, tuple(postings))
