"""The users, conversations, tag values and customers that a key has named, so that their number stays limited.

A new value costs the database a row for ever. A key may name a limited number of each; further names are folded into
one value, `other`. A customer is never folded, because it is charged: a new one beyond the limit is refused.

Known names are kept as hashes, for a look-up at each call. Two values with one hash count as one, which harms nothing.
"""

from collections.abc import Collection
from typing import NamedTuple

from pertoken.core.budgets import TAG_PREFIX, Attribution

OTHER = "other"
SHARE_WATCHED = 16  # from this part of a bound on, processes look at what the others named

Tags = tuple[tuple[str, str], ...]


class Bounds(NamedTuple):
    """How many of each one key may name. Conversations come and go: those of one day of UTC count."""

    customers: int = 10_000
    users: int = 100_000
    conversations: int = 100_000
    tag_values: int = 10_000
    series: int = 100_000  # combinations of a customer, a user and tags


DEFAULTS = Bounds()


class Full(NamedTuple):
    """A key that has named as many of a kind as it may."""

    key_id: str
    kind: str  # a field of Bounds
    named: int


class Named(NamedTuple):
    """The attribution of a call: as its client stated it, with the `folded` names as `other`."""

    attribution: Attribution
    folded: tuple[str, ...] = ()  # dimensions


class _OfKey:
    """What one key has named, as hashes."""

    __slots__ = ("conversations", "customers", "day", "series", "tag_names", "tag_values", "users")

    def __init__(self) -> None:
        self.customers: set[int] = set()
        self.users: set[int] = set()
        self.tag_names: set[int] = set()
        self.tag_values: set[int] = set()
        self.series: set[int] = set()
        self.conversations: set[int] = set()
        self.day = 0  # of `conversations`


class Census:
    """What all keys have named, as one process knows it: the event loop asks, the thread of the store reads more."""

    def __init__(self, bounds: Bounds = DEFAULTS) -> None:
        self.bounds = bounds
        self._keys: dict[str, _OfKey] = {}
        self._first_teams: dict[str, str] = {}  # in the order of the books
        self._recent_teams: dict[str, str] = {}  # of this process' calls, not yet read back in that order

    def first_team(self, customer: str) -> str | None:
        """Return the team that named a customer first, empty for a key of no team, None where nobody has."""
        first = self._first_teams.get(customer)
        return self._recent_teams.get(customer) if first is None else first

    def learn_in_order(self, attribution: Attribution) -> None:
        """Add the next names, in the order of the books, which decides whose a customer is."""
        customer = attribution.customer
        if customer is not None:
            self._first_teams.setdefault(customer, attribution.team or "")
            self._recent_teams.pop(customer, None)
        self._learn(attribution)

    def learn(self, attribution: Attribution) -> None:
        """Take in what a call of this process named that is in the books."""
        customer = attribution.customer
        if customer is not None and customer not in self._first_teams:
            self._recent_teams.setdefault(customer, attribution.team or "")
        self._learn(attribution)

    def _learn(self, attribution: Attribution) -> None:
        if attribution.key is None:
            return
        of_key = self._of(attribution.key)
        series = _series(attribution)
        if series in of_key.series:
            return  # the same of another model
        of_key.series.add(series)
        if attribution.customer is not None:
            of_key.customers.add(hash(attribution.customer))
        if attribution.user is not None:
            of_key.users.add(hash(attribution.user))
        for tag in attribution.tags:
            of_key.tag_names.add(hash(tag[0]))
            of_key.tag_values.add(hash(tag))

    def learn_conversation(self, key_id: str, conversation: str, day: int) -> None:
        """Take in a conversation of a key on a day."""
        self._of_day(key_id, day).add(hash(conversation))

    def takes_customer(self, key_id: str, customer: str) -> bool:
        """Tell whether a key may name a customer: one that it named before, or one more."""
        of_key = self._keys.get(key_id)
        if of_key is None:
            return self.bounds.customers > 0
        return len(of_key.customers) < self.bounds.customers or hash(customer) in of_key.customers

    def fold(
        self, said: Attribution, own_tags: Tags, day: int, named: Collection[tuple[str, str]] = frozenset()
    ) -> Named:
        """Return what a call is attributed to, given what its client said and the tags that its key has.

        Never folded is what the key itself says and what a budget is for: `named` has pairs of dimension and value.
        """
        assert said.key is not None, said
        of_key = self._of(said.key)
        bounds = self.bounds
        folded: list[str] = []
        user, tags, conversation = said.user, said.tags, said.conversation
        if _series(said) not in of_key.series:
            if user is not None and _is_new(hash(user), of_key.users, bounds.users) and ("user", user) not in named:
                user = OTHER
            tags = self._fold_tags(tags, own_tags, of_key, named)
            if _is_new(_series(said._replace(user=user, tags=tags)), of_key.series, bounds.series):
                user, tags = self._fold_whole(user, tags, own_tags, named)
            folded += ["user"] if user != said.user else []
            folded += [TAG_PREFIX + name for name, value in said.tags if (name, value) not in tags]
        if conversation is not None:
            known = self._of_day(said.key, day)
            new = _is_new(hash(conversation), known, bounds.conversations)
            if new and ("conversation", conversation) not in named:
                conversation = OTHER
                folded.append("conversation")
        if not folded:
            return Named(said)
        return Named(said._replace(user=user, tags=tags, conversation=conversation), tuple(folded))

    def full(self) -> list[Full]:
        """Return where a key has named as many as it may."""
        return [
            Full(key_id, kind, len(known))
            for key_id, of_key in self._keys.items()
            for kind, most in zip(Bounds._fields, self.bounds, strict=True)
            if len(known := getattr(of_key, kind)) >= most
        ]

    @property
    def is_watched(self) -> bool:
        """Whether some key has named so many conversations that those of other processes matter."""
        most = self.bounds.conversations // SHARE_WATCHED
        return any(len(of_key.conversations) >= most for of_key in list(self._keys.values()))

    def _of(self, key_id: str) -> _OfKey:
        of_key = self._keys.get(key_id)
        return self._keys.setdefault(key_id, _OfKey()) if of_key is None else of_key  # another thread may be faster

    def _of_day(self, key_id: str, day: int) -> set[int]:
        """Return the conversations of a key on a day; those of a day before are forgotten."""
        of_key = self._of(key_id)
        if day > of_key.day:
            of_key.day, of_key.conversations = day, set()
        return of_key.conversations

    def _fold_tags(self, tags: Tags, own: Tags, of_key: _OfKey, named: Collection[tuple[str, str]]) -> Tags:
        """Return tags with each new value as `other`, and each new name as well, where the key has named enough."""
        if len(of_key.tag_values) < self.bounds.tag_values:
            return tags
        kept: dict[str, str] = {}
        for tag in tags:
            name, value = tag
            if hash(tag) in of_key.tag_values or tag in own or (TAG_PREFIX + name, value) in named:
                kept[name] = value
            else:
                kept.setdefault(name if hash(name) in of_key.tag_names else OTHER, OTHER)
        return tuple(sorted(kept.items()))

    @staticmethod
    def _fold_whole(
        user: str | None, tags: Tags, own: Tags, named: Collection[tuple[str, str]]
    ) -> tuple[str | None, Tags]:
        """Return user and tags where the key has named enough combinations: all that is left are a few."""
        if user is not None and ("user", user) not in named:
            user = OTHER
        kept = {name: value for name, value in tags if (name, value) in own or (TAG_PREFIX + name, value) in named}
        if len(kept) < len(tags):
            kept.setdefault(OTHER, OTHER)
        return user, tuple(sorted(kept.items()))


def _series(attribution: Attribution) -> int:
    return hash((attribution.customer, attribution.user, attribution.tags))


def _is_new(value: int, known: set[int], most: int) -> bool:
    """Tell whether a value is new and exceeds the limit."""
    return len(known) >= most and value not in known
