"""OpenTelemetry's metrics for GenAI clients, under their older and newer names. The gateway is the client.

The names are those of semantic-conventions-genai (July 2026) in Prometheus's form: underscores for dots, `_total` at
the end of counters, `_seconds` for times. The newer counters have the modality as a label; the older histogram has the
type of token.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from pertoken.core.latency import BOUNDS_US
from pertoken.core.tally import TOKEN_BOUNDS, Name, Series, Snapshot
from pertoken.gateway.grouped import Labels, add_histogram, grouped, summed
from pertoken.wire import formats
from pertoken.wire.formats import Operation

SECOND_US = 1_000_000
EVERY = 4  # every fourth bound of latency is shown, so that each is twice the one before
NAMES = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
# The values of gen_ai.provider.name for providers that pertoken names differently.
PROVIDERS: Mapping[str, str] = {
    "google": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "azure": "azure.ai.openai",
    "aws": "aws.bedrock",
    "mistral": "mistral_ai",
    "x-ai": "x_ai",
}
# Newer counters: name, the unit of the total, and the units of each modality inside it.
_USAGE: Final = (
    ("input_tokens", "input_tokens", "input_{}_tokens"),
    ("output_tokens", "output_tokens", "output_{}_tokens"),
    ("cache_read_input_tokens", "cache_read_tokens", "cache_read_{}_tokens"),
    ("cache_write_input_tokens", "cache_write_tokens", "cache_write_{}_tokens"),
    ("reasoning_output_tokens", "reasoning_tokens", ""),
)
_MODALITIES = ("audio", "image", "video")


def gen_ai_families(counts: Snapshot) -> Iterator[Metric]:
    """Yield the families with older and newer names, for series with a cost."""
    used = {of: many for of, many in grouped(counts, _labels).items() if any(any(one.costs) for one in many)}
    yield _token_usage(used)
    yield _times(used, "gen_ai_client_operation_duration_seconds", "Duration of the operation, older name", "provider")
    for name, whole, part in _USAGE:
        yield _usage(used, name, whole, part)
    for name in ("input_tokens", "output_tokens"):
        family = HistogramMetricFamily(
            f"gen_ai_client_inference_operation_{name}", f"{name} of one operation", labels=NAMES
        )
        for of, many in used.items():
            add_histogram(family, of, [getattr(one, name) for one in many], TOKEN_BOUNDS)
        yield family
    yield _times(used, "gen_ai_client_inference_duration_seconds", "Duration of the operation", "provider")
    yield _times(
        used, "gen_ai_client_inference_time_to_first_chunk_seconds", "Until the first byte of the answer", "first_byte"
    )


def _labels(name: Name) -> Labels:
    provider, model, wire = name
    row = formats.BY_NAME.get(wire)
    operation = Operation.CHAT if row is None else row.operation  # None: the call was not understood
    return str(operation), PROVIDERS.get(provider, provider), model


def _token_usage(used: Mapping[Labels, list[Series]]) -> Metric:
    family = HistogramMetricFamily(
        "gen_ai_client_token_usage", "Tokens of one operation, older name", labels=("gen_ai_token_type", *NAMES)
    )
    for of, many in used.items():
        add_histogram(family, ("input", *of), [one.input_tokens for one in many], TOKEN_BOUNDS)
        add_histogram(family, ("output", *of), [one.output_tokens for one in many], TOKEN_BOUNDS)
    return family


def _times(used: Mapping[Labels, list[Series]], name: str, text: str, field: str) -> Metric:
    family = HistogramMetricFamily(name, text, labels=NAMES)
    for of, many in used.items():
        add_histogram(family, of, [getattr(one, field) for one in many], BOUNDS_US, SECOND_US, EVERY)
    return family


def _usage(used: Mapping[Labels, list[Series]], name: str, whole: str, part: str) -> Metric:
    family = CounterMetricFamily(
        f"gen_ai_client_inference_usage_{name}", f"Tokens by modality: {name}", labels=("gen_ai_token_modality", *NAMES)
    )
    for of, many in used.items():
        units = summed(one.units for one in many)
        parts = {one: units.get(part.format(one), 0) for one in _MODALITIES if part}
        family.add_metric(("text", *of), max(0, units.get(whole, 0) - sum(parts.values())))
        for modality, tokens in parts.items():
            if tokens:
                family.add_metric((modality, *of), tokens)
    return family
