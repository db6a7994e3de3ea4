"""How far pertoken's own count of a request's input is believed: only while the provider agrees with it.

A count is evidence, not proof. While no provider has contradicted it, it bounds a model's input by itself. Once a
provider has reported more than was bounded, three numbers are kept for that provider and model, and every later bound
uses them:

- `ratio_percent`: the provider's tokens to those that we count;
- `byte_ratio_percent`: the same to our byte bound, 100 unless a long prompt went beyond even that;
- `constant_tokens`: what neither explains of short prompts, such as a hidden system prompt.

A bound is then the larger of count and bytes, each times its ratio, and the constant. The count alone would not do: how
far it is off depends on the text. A provider that counts a quarter of the bytes agrees on prose and reports twenty
times our count for a run of blanks, so a caller could find ever denser text. The byte bound holds whatever the text.

Nothing here shrinks by itself: a provider that agrees on one text says nothing about the next. An operator resets it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pertoken.core import bounds
from pertoken.core.bounds import Counts, Family
from pertoken.core.facts import RequestFacts
from pertoken.core.money import divide_up
from pertoken.core.usage import Completeness, Reading

STEP_PERCENT = 5  # ratios move in such steps, so that they rarely change
STEP_TOKENS = 1_024  # and constants in such
LONG_TOKENS = 1_024  # a shorter prompt shows no ratio to the byte bound: what exceeds that may be a hidden prompt
# Ordinary text has four bytes a token, so the ratio to the count may be four times that to the bytes: the bound of such
# text is its bytes then. A larger one would let anybody who finds text that we count far too low raise all holds.
BYTES_PER_TOKEN = 4
BYTE_RATIO_PERCENT_MAX = 10_000
CONSTANT_TOKENS_MAX = 2_048_000  # no model takes more


class Measured(NamedTuple):
    """What a request of text comes to by our own measures."""

    text_tokens: int  # its texts, counted
    counted_tokens: int  # the same with the most that its frame takes
    byte_tokens: int  # the byte bound of its texts, with the same frame


class Trust(NamedTuple):
    """How far the count of one model of one provider is believed. The default: it was never contradicted."""

    constant_tokens: int = 0
    ratio_percent: int = 100
    byte_ratio_percent: int = 100

    def loose_bound(self, byte_tokens: int) -> int:
        """Return the most input tokens of a request that was not counted: none of it counts more than its bytes."""
        percent = max(self.ratio_percent, self.byte_ratio_percent)
        return divide_up(byte_tokens * percent, 100) + self.constant_tokens

    def bound(self, measured: Measured) -> int:
        """Return the most input tokens of a request that was counted."""
        if self == WHOLE:
            return measured.counted_tokens
        counted = divide_up(measured.counted_tokens * self.ratio_percent, 100)
        return max(counted, divide_up(measured.byte_tokens * self.byte_ratio_percent, 100)) + self.constant_tokens

    def estimate(self, counted_tokens: int) -> int:
        """Return what the provider may have counted where it said nothing."""
        return divide_up(counted_tokens * self.ratio_percent, 100) + self.constant_tokens


WHOLE = Trust()
Trusts = Mapping[tuple[str, str], Trust]  # (provider, model as the provider is asked for it); absent: WHOLE


class Disagreement(NamedTuple):
    """A provider reported more input than was bounded for a request of text."""

    provider: str
    model: str
    measured: Measured
    reported_tokens: int


class Doubt(NamedTuple):
    """How far a count is believed that was contradicted, and the disagreement that changed it last."""

    provider: str
    model: str
    trust: Trust
    counted_tokens: int
    reported_tokens: int
    call_id: str
    changed_at_us: int


def measure(counts: Counts, family: Family, body_bytes: int, *, tools: bool) -> Measured:
    """Bound a request by its tokens and by the bytes of its texts. Neither is more than the bound of the whole body."""
    most = bounds.byte_bound(body_bytes, family, tools=tools)
    tokens, messages, names = counts.tokens, counts.messages, counts.names
    counted = bounds.counted_bound(tokens, family, messages=messages, names=names, tools=tools)
    alone = bounds.counted_bound(tokens, family._replace(frame_tokens=0), messages=0, names=0, tools=False)
    by_bytes = bounds.byte_bound(counts.text_bytes, family, tools=tools) + family.message_tokens * messages + names
    return Measured(alone, min(counted, most), min(by_bytes, most))


def may_disagree(facts: RequestFacts, held_tokens: int, reading: Reading) -> bool:
    """Tell whether a provider reported more input than was held for, and the request shows all of its input.

    Media and what a body does not show say nothing about how text is counted.
    """
    if input_reported(reading) <= held_tokens or facts.has_media or facts.hidden_input is not None:
        return False
    return reading.completeness is not Completeness.ESTIMATED and not reading.contradiction


def input_reported(reading: Reading) -> int:
    """Return the input tokens that a provider says; nothing where it says none."""
    return (reading.quantities or {}).get("input_tokens", 0)


def agree(trust: Trust, measured: Measured, reported_tokens: int) -> Trust | None:
    """Return the trust that explains what a provider reported, None where `trust` does already."""
    if reported_tokens <= trust.bound(measured):
        return None
    byte_ratio = trust.byte_ratio_percent
    if measured.counted_tokens >= LONG_TOKENS:
        byte_ratio = max(byte_ratio, min(_percent(reported_tokens, measured.byte_tokens), BYTE_RATIO_PERCENT_MAX))
    # Where the frame that is held is wider than the provider's, a ratio to all of the count would be too small.
    ratio = _percent(reported_tokens, max(measured.text_tokens, measured.counted_tokens // BYTES_PER_TOKEN))
    # What exceeds the bound has a larger ratio than the one in force.
    wider = Trust(trust.constant_tokens, min(ratio, byte_ratio * BYTES_PER_TOKEN), byte_ratio)
    left = max(0, reported_tokens - wider.bound(measured))
    constant = min(divide_up(trust.constant_tokens + left, STEP_TOKENS) * STEP_TOKENS, CONSTANT_TOKENS_MAX)
    wider = wider._replace(constant_tokens=constant)
    return None if wider == trust else wider


def _percent(tokens: int, of: int) -> int:
    return divide_up(tokens * 100, max(1, of) * STEP_PERCENT) * STEP_PERCENT
