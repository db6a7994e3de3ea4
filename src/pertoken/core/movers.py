"""What moved: of a change in cost between two stretches of time, how much came from which cause. Pure and exact.

The parts add up to the change, to the last pico. Each cause is weighed with the others as they were before it: first
calls, then the models that were called, then tokens a call, then the share read from cache; the rest is the price of a
token, which also has in it how much of the tokens were output.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

SoldAs = tuple[str, str]  # provider, model


class Cause(StrEnum):
    """Why a cost changed."""

    CALLS = "calls"
    MODELS = "mix of models"  # dearer or cheaper ones were called
    TOKENS = "tokens a call"
    CACHED = "cached share"
    PRICE = "price a token"


class Consumed(NamedTuple):
    """What calls of one kind came to in one stretch of time."""

    calls: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0  # of the input
    output_tokens: int = 0
    cost_picos: int = 0

    @property
    def tokens(self) -> int:
        """Input and output."""
        return self.input_tokens + self.output_tokens

    def plus(self, other: "Consumed") -> "Consumed":
        """Return both together."""
        return Consumed(*(one + more for one, more in zip(self, other, strict=True)))


NONE = Consumed()
ByKind = Mapping[SoldAs, Consumed]


class Mover(NamedTuple):
    """One name whose cost changed, and what each cause has of the change."""

    dimension: str
    name: str
    before: Consumed
    now: Consumed
    parts: Mapping[Cause, int]  # picos; together they are the change

    @property
    def change_picos(self) -> int:
        """By how much the cost rose."""
        return self.now.cost_picos - self.before.cost_picos

    @property
    def cause(self) -> Cause:
        """The cause that has most of the change, of those that moved the cost the same way."""
        sign = 1 if self.change_picos >= 0 else -1
        return max(Cause, key=lambda cause: sign * self.parts[cause])


def make_mover(dimension: str, name: str, before: ByKind, now: ByKind, saved: Mapping[SoldAs, Fraction]) -> Mover:
    """Return what moved under one name.

    `saved` is by how many picos a token is cheaper where it is read from cache; where it is not known, what the cache
    saved is in the price.
    """
    all_before, all_now = _all(before.values()), _all(now.values())
    return Mover(dimension, name, all_before, all_now, _parts(all_before, all_now, before, now, saved))


def most_moved(movers: Iterable[Mover], most: int) -> list[Mover]:
    """Return those that changed most, the largest change first; those that did not change are left out."""
    moved = [one for one in movers if one.change_picos]
    return sorted(moved, key=lambda one: (-abs(one.change_picos), one.dimension, one.name))[:most]


def _all(some: Iterable[Consumed]) -> Consumed:
    found = NONE
    for one in some:
        found = found.plus(one)
    return found


def _parts(
    before: Consumed, now: Consumed, kinds_before: ByKind, kinds_now: ByKind, saved: Mapping[SoldAs, Fraction]
) -> dict[Cause, int]:
    change = now.cost_picos - before.cost_picos
    if not before.calls or not now.calls:
        return {**dict.fromkeys(Cause, 0), Cause.CALLS: change}
    calls = Fraction(before.cost_picos * (now.calls - before.calls), before.calls)
    of_kinds = tokens = cached = Fraction(0)
    for kind in {**kinds_before, **kinds_now}:
        one = _of_kind(kinds_before.get(kind, NONE), kinds_now.get(kind, NONE), saved.get(kind, Fraction(0)))
        of_kinds, tokens, cached = of_kinds + one[0], tokens + one[1], cached + one[2]
    parts = {
        Cause.CALLS: round(calls),
        Cause.MODELS: round(of_kinds - calls),
        Cause.TOKENS: round(tokens),
        Cause.CACHED: round(cached),
    }
    return {**parts, Cause.PRICE: change - sum(parts.values())}


def _of_kind(before: Consumed, now: Consumed, saved: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """Return what calls, tokens a call and the cached share have of the change of one kind."""
    if not before.calls or not now.calls:
        return Fraction(now.cost_picos - before.cost_picos), Fraction(0), Fraction(0)
    calls = Fraction(before.cost_picos * (now.calls - before.calls), before.calls)
    tokens = cached = Fraction(0)
    if before.tokens:
        expected = Fraction(now.calls * before.tokens, before.calls)
        tokens = (now.tokens - expected) * Fraction(before.cost_picos, before.tokens)
    if before.input_tokens and now.input_tokens:
        expected = Fraction(before.cache_read_tokens * now.input_tokens, before.input_tokens)
        cached = -(now.cache_read_tokens - expected) * saved
    return calls, tokens, cached
