"""Measuring in turns, so that the moods of the machine reach everybody, and what is said of many rounds."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

One = TypeVar("One")
Measured = TypeVar("Measured")


def in_turns(everybody: Sequence[One], measure: Callable[[One], Measured], rounds: int) -> list[list[Measured]]:
    """Measure each one once a round; return the rounds of each one."""
    taken = [[measure(one) for one in everybody] for _ in range(rounds)]
    return [list(of_one) for of_one in zip(*taken, strict=True)]


def pool(rounds: Iterable["array[float]"]) -> "array[float]":
    """Return the samples of all rounds, sorted: a tail is what happens now and then, so no round is left out."""
    return array("d", sorted(sample for one in rounds for sample in one))


def added_ms(latencies: "array[float]", floor: "array[float] | None", percents: Iterable[float]) -> list[float | None]:
    """Return percentiles of sorted samples, in milliseconds: their own, or what they are above those of `floor`."""
    added: list[float | None] = []
    for percent in percents:
        its = percentile(latencies, percent)
        below = 0.0 if floor is None else percentile(floor, percent)
        added.append(None if its is None or below is None else (its - below) * 1e3)
    return added


def percentile(samples: "array[float]", percent: float) -> float | None:
    """Return a percentile of sorted samples; None where there are too few for one to lie beyond it."""
    beyond = int(len(samples) * (100 - percent) / 100 + 1e-9)
    return samples[-1 - beyond] if beyond else None
