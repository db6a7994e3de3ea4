"""The answer of /metrics: figures as families of prometheus-client. This module is imported at the first scrape.

No label holds text from a client, except the name of a model that has a price. No label names a key, customer or user.
"""

import time
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pertoken.core.latency import BOUNDS_US
from pertoken.core.money import format_amount
from pertoken.core.tally import BATCH_BITS, Snapshot
from pertoken.core.units import INNER_FIRST, INSIDE, TOKEN_UNITS
from pertoken.gateway.gen_ai_metrics import gen_ai_families
from pertoken.gateway.grouped import add_histogram, grouped, summed
from pertoken.services.shares import Fullness

PAUSE_S = 0.0005  # between two families, so that calls can run
SECOND_US = 1_000_000
EVERY = 2  # every second bound of latency is shown, so that neighbours differ by a factor of 1.41

_GAUGES = {
    "commands_waiting": "Commands that wait for a batch of the store",
    "readings_waiting": "Large bodies that wait to be read or counted",
    "api_waiting": "Requests to the control plane that are served or wait",
    "drains": "Answers that are read to their end for clients that hung up",
    "connections": "Open connections of clients",
    "owed_settlements": "Settlements that are not yet posted, because the store failed",
    "parked_settlements": "Settlements that a working store did not take: their providers get no calls",
}


class Report(NamedTuple):
    """Everything that one scrape shows."""

    counts: Snapshot
    standing: Fullness | None  # None: the store cannot be read
    failure: str | None  # why the store does not work
    version: str
    is_compiled: bool


def render(report: Report, accept: str) -> tuple[bytes, str]:
    """Return the exposition in a form that the scraper accepts, and its content type. Slow: call it on a thread."""
    encode, content_type = choose_encoder(accept)
    return encode(_Collector(report)), content_type


class _Collector(Collector):
    """Yields the families of one report and lets other threads run between them."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        for family in families(self._report):
            yield family
            time.sleep(PAUSE_S)


def families(report: Report) -> Iterator[Metric]:
    """Yield all families, ours and OpenTelemetry's."""
    yield from _calls(report.counts)
    yield from _used(report.counts)
    yield from _latencies(report.counts)
    yield from _store(report)
    yield from _budgets(report.standing)
    yield from _processes(report)
    yield from gen_ai_families(report.counts)


def _calls(counts: Snapshot) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "pertoken_calls", "Calls that ended, by how", labels=("status", "provider", "model", "wire")
    )
    for (provider, model, wire), series in sorted(counts.series.items()):
        for status, number in sorted(series.statuses.items()):
            calls.add_metric((status, provider, model, wire), number)
    yield calls
    refusals = CounterMetricFamily(
        "pertoken_refusals", "Errors that pertoken answered, by code; status refused: before anything was sent",
        labels=("reason",),
    )  # fmt: skip
    for code, number in sorted(counts.refusals.items()):
        refusals.add_metric((code,), number)
    yield refusals


def _used(counts: Snapshot) -> Iterator[Metric]:
    names = ("provider", "model")
    tokens = CounterMetricFamily("pertoken_tokens", "Tokens by class; classes do not overlap", labels=("class", *names))
    units = CounterMetricFamily("pertoken_units", "What was used beside tokens", labels=("unit", *names))
    cost = CounterMetricFamily("pertoken_cost", "Cost of calls, in units of the currency", labels=("currency", *names))
    for of, many in grouped(counts, lambda name: name[:2]).items():
        for unit, quantity in disjoint(summed(series.units for series in many)).items():
            family = tokens if unit in TOKEN_UNITS else units
            family.add_metric((unit.removesuffix("_tokens") if unit in TOKEN_UNITS else unit, *of), quantity)
        for currency, picos in sorted(summed(series.costs for series in many).items()):
            cost.add_metric((currency, *of), float(format_amount(picos, currency)))
    yield from (tokens, units, cost)


def disjoint(quantities: Mapping[str, int]) -> dict[str, int]:
    """Return inclusive sums as sums of units that do not overlap."""
    found: dict[str, int] = {}
    for unit in INNER_FIRST:
        if unit in quantities:
            found[unit] = max(0, quantities[unit] - sum(found.get(inner, 0) for inner in INSIDE[unit]))
    return found


def _latencies(counts: Snapshot) -> Iterator[Metric]:
    by_provider = {of: many for of, many in grouped(counts, lambda name: name[:1]).items() if of[0]}
    for name, text, field in (
        ("pertoken_call_duration_seconds", "From a call's head to the end of its answer", "took"),
        ("pertoken_gateway_duration_seconds", "Of that, what the provider did not take", "gateway"),
        ("pertoken_provider_first_byte_seconds", "From sending to the first byte", "first_byte"),
        ("pertoken_provider_duration_seconds", "From sending to the last byte", "provider"),
    ):
        family = HistogramMetricFamily(name, text, labels=("provider",))
        for of, many in by_provider.items():
            add_histogram(family, of, [getattr(series, field) for series in many], BOUNDS_US, SECOND_US, EVERY)
        yield family


def _store(report: Report) -> Iterator[Metric]:
    counts = report.counts
    yield GaugeMetricFamily("pertoken_store_up", "Whether the store works", value=report.failure is None)
    family = HistogramMetricFamily("pertoken_commit_batch_commands", "Commands that were committed together", labels=())
    running = list(accumulate(counts.batches))
    buckets = [(str(float(2**bits - 1)), float(running[bits])) for bits in range(1, BATCH_BITS)]
    family.add_metric((), [*buckets, ("+Inf", float(running[-1]))], counts.commands)
    yield family
    for name, text in _GAUGES.items():
        yield GaugeMetricFamily(f"pertoken_{name}", text, value=counts.gauges.get(name, 0))
    if "credit_left_picos" in counts.gauges:
        left = GaugeMetricFamily(
            "pertoken_credit_left", "What may still be served while the store is down", labels=("currency",)
        )
        left.add_metric(("USD",), float(format_amount(counts.gauges["credit_left_picos"], "USD")))
        yield left


def _budgets(standing: Fullness | None) -> Iterator[Metric]:
    if standing is None:
        return
    used = GaugeMetricFamily(
        "pertoken_budget_used_ratio", "Spent and held of the limit, in the window now; with each, the fullest",
        labels=("budget", "team", "axis", "window", "mode"),
    )  # fmt: skip
    for share in standing.shares:
        used.add_metric((share.name, share.team, share.axis, share.window, share.mode), share.used)
    yield used
    yield GaugeMetricFamily("pertoken_budgets", "Budgets in force", value=standing.budgets)
    yield GaugeMetricFamily("pertoken_open_holds", "Holds that have not ended", value=standing.open_holds)
    held = GaugeMetricFamily("pertoken_held", "What open holds hold, in units of the currency", labels=("currency",))
    for currency, picos in sorted(standing.held.items()):
        held.add_metric((currency,), float(format_amount(picos, currency)))
    yield held


def _processes(report: Report) -> Iterator[Metric]:
    info = GaugeMetricFamily("pertoken_build_info", "What runs", labels=("version", "compiled"))
    info.add_metric((report.version, str(report.is_compiled).lower()), 1)
    yield info
    yield GaugeMetricFamily("pertoken_workers", "Processes that serve calls", value=report.counts.workers)
    yield CounterMetricFamily(
        "pertoken_cpu_seconds",
        "Processor time of the workers",
        value=report.counts.cpu_us / SECOND_US,
    )
