"""Groups the series of a snapshot by some of their labels, and adds their histograms to prometheus-client."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily

from pertoken.core.tally import Histogram, Name, Series, Snapshot

Labels = tuple[str, ...]


def grouped(counts: Snapshot, labels: Callable[[Name], Labels]) -> dict[Labels, list[Series]]:
    """Return the series of a snapshot by the result of `labels`, sorted by name."""
    found: dict[Labels, list[Series]] = {}
    for name, series in sorted(counts.series.items()):
        found.setdefault(labels(name), []).append(series)
    return found


def summed(many: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of each name over several mappings."""
    sums: dict[str, int] = {}
    for one in many:
        for name, value in one.items():
            sums[name] = sums.get(name, 0) + value
    return sums


def add_histogram(  # noqa: PLR0917 - the parts of a histogram
    family: HistogramMetricFamily,
    labels: Sequence[str],
    histograms: Sequence[Histogram],
    bounds: Sequence[int],
    scale: int = 1,
    every: int = 1,
) -> None:
    """Add the sum of several histograms. Only each `every`-th bound is shown. Bounds and sum are divided by `scale`."""
    summed = [sum(values) for values in zip(*histograms, strict=True)]
    running = list(accumulate(summed[:-1]))
    shown = [
        (str(float(bound / scale)), float(running[place])) for place, bound in enumerate(bounds) if place % every == 0
    ]
    family.add_metric(labels, [*shown, ("+Inf", float(running[-1]))], summed[-1] / scale)
