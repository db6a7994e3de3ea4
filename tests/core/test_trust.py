"""A count is believed only while the provider agrees; afterwards no provider of a known kind overruns again."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.bounds import FAMILIES, Counts
from pertoken.core.facts import RequestFacts
from pertoken.core.trust import (
    BYTE_RATIO_PERCENT_MAX,
    CONSTANT_TOKENS_MAX,
    LONG_TOKENS,
    STEP_PERCENT,
    STEP_TOKENS,
    WHOLE,
    Measured,
    Trust,
    agree,
    may_disagree,
    measure,
)
from pertoken.core.usage import Completeness, Reading

FRAME, MESSAGE = 16, 8  # of the family o200k


class Prompt(NamedTuple):
    """A request of text: its tokens by our count, its bytes, its messages."""

    tokens: int
    text_bytes: int
    messages: int = 1

    @property
    def measured(self) -> Measured:
        """Return what it comes to by our measures."""
        frame = FRAME + MESSAGE * self.messages
        return Measured(self.tokens, self.tokens + frame, self.text_bytes + frame)

    @property
    def real(self) -> int:
        """Return what OpenAI would count."""
        return self.tokens + 3 * self.messages + 3


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """Draw a prompt of any density: a byte a token, or a hundred."""
    tokens = draw(st.integers(1, 200_000) | st.integers(1, 300))
    return Prompt(tokens, tokens * draw(st.integers(1, 100)), draw(st.integers(1, 30)))


def test_nobody_contradicted() -> None:
    """A count that was never contradicted bounds a request by itself, and the byte bound is as it is."""
    assert WHOLE.bound(Measured(100, 124, 424)) == 124
    assert WHOLE.loose_bound(500) == 500
    assert WHOLE.estimate(124) == 124
    assert agree(WHOLE, Measured(100, 124, 424), 124) is None


@pytest.mark.parametrize(
    ("prompt", "reported", "learned"),
    [
        # a tokenizer that makes 2.5 times as many tokens: long prompts and short ones show the ratio
        (Prompt(10_000, 42_000), 25_015, Trust(0, 255, 100)),
        (Prompt(100, 420), 268, Trust(0, 270, 100)),
        # a hidden prompt of 40 tokens, and one of 2,000: what the largest ratio does not explain is the constant
        (Prompt(10, 40), 57, Trust(0, 400, 100)),
        (Prompt(10, 40), 2_017, Trust(2_048, 400, 100)),
        (Prompt(100_000, 410_000), 100_100, Trust(0, 105, 100)),
        # blanks, eighty to a token, where the provider counts a quarter of the bytes: the ratio stays at four
        (Prompt(2_000, 160_000), 40_000, Trust(0, 400, 100)),
        # more than the bytes: of a long prompt that is a ratio, of a short one a constant
        (Prompt(10_000, 40_000), 60_007, Trust(0, 600, 150)),
        (Prompt(100, 400), 900, Trust(1_024, 400, 100)),
    ],
)
def test_what_a_disagreement_shows(prompt: Prompt, reported: int, learned: Trust) -> None:
    """Each disagreement is explained by ratios, in steps of 5 %, and short prompts beyond that by a constant."""
    assert agree(WHOLE, prompt.measured, reported) == learned


@given(st.lists(st.tuples(prompts(), st.integers(0, 2_000_000) | st.integers(0, 2_000)), max_size=20))
def test_a_disagreement_is_explained_and_none_is_forgotten(seen: list[tuple[Prompt, int]]) -> None:
    """What was reported once is within the bound from then on; trust falls in steps and never rises by itself."""
    trust = WHOLE
    for at, (prompt, reported) in enumerate(seen):
        learned = agree(trust, prompt.measured, reported)
        assert (learned is None) == (reported <= trust.bound(prompt.measured))
        if learned is not None:
            assert all(new >= old for new, old in zip(learned, trust, strict=True))
            assert learned.ratio_percent % STEP_PERCENT == learned.byte_ratio_percent % STEP_PERCENT == 0
            assert learned.constant_tokens % STEP_TOKENS == 0
            assert learned.ratio_percent <= 4 * learned.byte_ratio_percent
            trust = learned
        assert all(tokens <= trust.bound(one.measured) for one, tokens in seen[: at + 1])


@given(st.integers(101, 400), prompts(), prompts())
def test_a_provider_that_multiplies_disagrees_once(percent: int, first: Prompt, later: Prompt) -> None:
    """A provider with up to four times our tokens never goes beyond the bound again, whatever the texts are."""
    trust = agree(WHOLE, first.measured, first.real * percent // 100)
    if trust is not None:
        assert later.real * percent // 100 <= trust.bound(later.measured)
        assert trust.bound(later.measured) <= trust.loose_bound(later.measured.byte_tokens)


@given(prompts(), prompts(), st.data())
def test_a_provider_with_any_other_tokenizer_disagrees_once(first: Prompt, later: Prompt, data: st.DataObject) -> None:
    """A provider that makes at most one token of each byte never goes beyond the bound again."""
    trust = agree(WHOLE, first.measured, data.draw(st.integers(0, first.measured.byte_tokens)))
    if trust is not None:
        assert trust.bound(later.measured) >= later.measured.byte_tokens


@given(st.integers(401, 10_000), st.lists(prompts(), min_size=1, max_size=30))
def test_a_provider_beyond_the_byte_bound_disagrees_a_few_times(percent: int, asked: list[Prompt]) -> None:
    """A provider beyond the byte bound disagrees anew only on a text longer than all before, or held for with less."""
    trust = WHOLE
    disagreements: list[Prompt] = []
    for prompt in asked:
        learned = agree(trust, prompt.measured, prompt.real * percent // 100)
        if learned is not None:
            for before in disagreements:
                longer = prompt.tokens > before.tokens or prompt.messages > before.messages
                assert longer or prompt.measured.byte_tokens < before.measured.byte_tokens
            disagreements.append(prompt)
            trust = learned


@given(prompts(), st.integers(0, 10**7))
def test_nobody_raises_the_bound_of_ordinary_text_far(prompt: Prompt, reported: int) -> None:
    """While a provider keeps to the byte bound, ordinary text is held by its bytes and the constant, and by no more."""
    reported = min(reported, prompt.measured.byte_tokens)
    trust = agree(WHOLE, prompt.measured, reported)
    if trust is not None:
        ordinary = Prompt(50_000, 200_000)
        assert trust.constant_tokens == 0
        assert trust.bound(ordinary.measured) <= ordinary.measured.byte_tokens + 4 * (FRAME + MESSAGE)


def test_trust_has_an_end() -> None:
    """Whatever a provider reports, what is held for it is bounded."""
    trust = WHOLE
    for reported in (10**6, 10**9, 10**12, 10**12 + 1):
        trust = agree(trust, Prompt(10_000, 40_000).measured, reported) or trust

    assert trust == Trust(CONSTANT_TOKENS_MAX, 4 * BYTE_RATIO_PERCENT_MAX, BYTE_RATIO_PERCENT_MAX)


def test_only_long_prompts_show_a_ratio_to_the_bytes() -> None:
    """A hidden prompt seen through a short one multiplies no long one: it is held as a constant."""
    trust = agree(WHOLE, Prompt(10, 40).measured, 3_000)

    assert trust is not None
    assert trust.byte_ratio_percent == 100
    long = Prompt(100_000, 400_000).measured
    assert trust.bound(long) <= long.byte_tokens + 4 * (FRAME + MESSAGE) + 3_072
    assert Prompt(10, 40).measured.counted_tokens < LONG_TOKENS


@pytest.mark.parametrize(
    ("counts", "body_bytes", "tools", "expected"),
    [
        (Counts(1_000, 4_000, 2, 1, has_media=False), 9_000, False, (1_000, 1_033, 4_033)),
        (Counts(1_000, 4_000, 2, 1, has_media=False), 9_000, True, (1_000, 1_097, 4_097)),
        (Counts(1_000, 4_000, 2, 1, has_media=False), 4_000, False, (1_000, 1_033, 4_016)),
        (Counts(1_000, 4_000, 2, 1, has_media=False), 500, False, (1_000, 516, 516)),
    ],
)
def test_what_a_request_comes_to(counts: Counts, body_bytes: int, tools: bool, expected: tuple[int, int, int]) -> None:
    """Its texts alone, with the widest frame, and by their bytes: neither is more than the whole body can be."""
    assert measure(counts, FAMILIES["o200k"], body_bytes, tools=tools) == expected


SEEN = RequestFacts("m")
SAID = Reading({"input_tokens": 101}, Completeness.FINAL)


@pytest.mark.parametrize(
    ("facts", "reading", "expected"),
    [
        (SEEN, SAID, True),
        (SEEN, SAID._replace(completeness=Completeness.PARTIAL), True),
        (SEEN, SAID._replace(quantities={"input_tokens": 100}), False),
        (SEEN, SAID._replace(quantities={}), False),
        (SEEN, SAID._replace(quantities=None), False),
        (SEEN, SAID._replace(completeness=Completeness.ESTIMATED), False),
        (SEEN, SAID._replace(contradiction="it is no sum"), False),
        (SEEN._replace(has_media=True), SAID, False),
        (SEEN._replace(hidden_input="a stored conversation"), SAID, False),
    ],
)
def test_who_may_disagree(facts: RequestFacts, reading: Reading, expected: bool) -> None:
    """A provider that itself reports more input than the 100 that were held for, of a request that shows all of it."""
    assert may_disagree(facts, 100, reading) is expected
