"""The rule that judges a soak: it sees growth through noise, and does not take noise for growth."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.soak.flat import judge


@given(st.integers(0, 10**6), st.floats(0, 3))
def test_noise_is_flat(seed: int, noise: float) -> None:
    """Noise, a warm-up, a few high samples: flat."""
    dice = random.Random(seed)
    samples = [100 + dice.uniform(-noise, noise) + 80 * (number < 25) * (number - 25) / 25 for number in range(120)]
    for _ in range(5):
        samples[dice.randrange(30, 120)] += 500

    assert judge("noise", samples, more=8).holds


@given(st.integers(0, 10**6), st.floats(0, 3))
def test_growth_is_seen(seed: int, noise: float) -> None:
    """Steady growth of 20 over the span shows through the same noise, and so does a step that stays."""
    dice = random.Random(seed)
    noisy = [dice.uniform(-noise, noise) for _ in range(120)]
    steady = judge("steady", [100 + number * 30 / 120 + one for number, one in enumerate(noisy)], more=8)
    step = judge("step", [100 + 20 * (number > 70) + one for number, one in enumerate(noisy)], more=8)

    assert not steady.holds
    assert not step.holds
    assert steady.slope > 8


def test_too_few_samples_prove_nothing() -> None:
    """A run that was not sampled does not pass."""
    with pytest.raises(AssertionError, match="too few"):
        judge("few", [1.0] * 20, more=8)


def test_a_factor_and_a_sum() -> None:
    """What may be more is said as a factor, a sum, or both."""
    samples = [10.0] * 60 + [19.0] * 60

    assert judge("latency", samples, factor=2).holds
    assert not judge("latency", samples, factor=1.5).holds
    assert judge("latency", samples, factor=1.5, more=5).holds
