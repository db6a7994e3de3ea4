"""/metrics shows given figures correctly, and the dashboard and the alert rules use only metrics that it shows."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from tests.core.test_tally import charged, line, snapshot

from pertoken.core.events import Timeline
from pertoken.core.tally import BATCH_BITS, SERIES_MAX, CallTally, Snapshot, StoreState
from pertoken.gateway.metrics import Report, disjoint, render
from pertoken.services.shares import Fullness, Share

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"
SHARE = Share("monthly", "growth", "money", "month", "hard", 0.25)
STANDING = Fullness((SHARE,), 1, 2, {"USD": 15 * 10**11})
NAME = re.compile(r"\b(?:pertoken|gen_ai)_[a-z_]+\b")
LABEL = re.compile(r"gen_ai_(token_modality|token_type|operation_name|provider_name|request_model)")
SECRETS = ("key_1", "customer", "user", "tag", "a client's own word")


def report(*lines: Any, standing: Fullness | None = STANDING, failure: str | None = None, **gauges: int) -> Report:
    """Return the report of several calls."""
    tally = CallTally()
    for one in lines:
        tally.count(one)
    return Report(snapshot(tally, **gauges), standing, failure, "1.2.3", is_compiled=True)


def shown(made: Report) -> dict[tuple[str, ...], float]:
    """Return every sample of an exposition, by its name and its label values in the order of label names."""
    text, _ = render(made, "")
    samples = [sample for family in parse(text.decode()) for sample in family.samples]
    found = {(one.name, *(one.labels[name] for name in sorted(one.labels))): one.value for one in samples}
    assert len(found) == len(samples), "a sample is there twice"
    return found


def buckets_of(found: dict[tuple[str, ...], float], name: str) -> dict[str, float]:
    """Return the buckets of a histogram by their bounds."""
    return {labels[0]: value for (first, *labels), value in found.items() if first == f"{name}_bucket"}


EVERYTHING = report(
    line(charged(timeline=Timeline(1_000, 5_000, 25_000, 85_000), quantities={"input_tokens": 7, "web_searches": 1})),
    line(status="refused", refusal="forbidden"),
    credit_left_picos=10**12,
)


@pytest.mark.parametrize(
    ("accept", "reads"), [("", parse), ("application/openmetrics-text; version=1.0.0", parse_openmetrics)]
)
def test_both_forms_can_be_read(accept: str, reads: Any) -> None:
    """Prometheus gets its own format or OpenMetrics, whichever it requests, and can parse both."""
    text, content_type = render(EVERYTHING, accept)
    families = {family.name for family in reads(text.decode())}

    assert content_type.startswith(accept.partition(";")[0] or "text/plain")
    assert {"pertoken_calls", "pertoken_cost", "gen_ai_client_token_usage"} <= families
    assert all(name.startswith(("pertoken_", "gen_ai_client_")) for name in families)


def test_figures_are_those_that_were_counted() -> None:
    """Calls, tokens without overlap, cost, held amounts and shares of budgets are shown as they were counted."""
    used = {"input_tokens": 100, "cache_read_tokens": 40, "output_tokens": 9, "reasoning_tokens": 4}
    found = shown(report(line(charged(quantities=used, cost_picos=123_456_789))))

    assert found["pertoken_calls_total", "m", "p", "ok", "openai.chat"] == 1
    assert {name[1]: value for name, value in found.items() if name[0] == "pertoken_tokens_total"} == {
        "input": 60, "cache_read": 40, "output": 5, "reasoning": 4,
    }  # fmt: skip
    assert found["pertoken_cost_total", "USD", "m", "p"] == 0.000123456789
    assert found["pertoken_held", "USD"] == 1.5
    assert found["pertoken_budget_used_ratio", "money", "monthly", "hard", "growth", "month"] == 0.25
    assert found["gen_ai_client_inference_usage_input_tokens_total", "chat", "p", "m", "text"] == 100
    assert found["gen_ai_client_token_usage_sum", "chat", "p", "m", "input"] == 100


@pytest.mark.parametrize(
    ("wire", "operation"),
    [
        ("openai.chat", "chat"),
        ("openai.responses", "chat"),
        ("anthropic.messages", "chat"),
        ("gemini.generate", "generate_content"),
        ("openai.embeddings", "embeddings"),
        ("gemini.embed", "embeddings"),
    ],
)
def test_what_a_call_does_is_said_by_its_format(wire: str, operation: str) -> None:
    """OpenTelemetry's metrics have the operation that the registry's row has."""
    found = shown(report(line(charged())._replace(wire=wire)))

    assert found["gen_ai_client_token_usage_count", operation, "p", "m", "input"] == 1


def test_modalities_come_to_the_whole() -> None:
    """The newer counters split tokens into sound, pictures and text, and the sum is all tokens."""
    used = {"input_tokens": 100, "input_audio_tokens": 30, "input_image_tokens": 20}
    found = shown(report(line(charged(quantities=used))))
    name = "gen_ai_client_inference_usage_input_tokens_total"

    assert {labels[-1]: value for (first, *labels), value in found.items() if first == name} == {
        "text": 50, "audio": 30, "image": 20,
    }  # fmt: skip


def test_histograms_are_cumulative_and_whole() -> None:
    """The buckets of each histogram are cumulative, and the last one counts all values."""
    lines = [line(charged(), took_us=took_us) for took_us in (500, 1_000, 3_000, 10**12)]
    found = shown(report(*lines))
    buckets = {
        labels[0]: value for (name, *labels), value in found.items() if name == "pertoken_call_duration_seconds_bucket"
    }

    assert (buckets["0.001"], buckets["0.004"], buckets["+Inf"]) == (2, 3, 4)
    assert list(buckets.values()) == sorted(buckets.values())
    assert found["pertoken_call_duration_seconds_sum", "p"] == pytest.approx(1_000_000.0045)


def test_batches_are_counted_by_their_size() -> None:
    """The histogram of batches has the number of batches and of commands, and each batch is in the right bucket."""
    sizes = [1, 1, 3, 4, 1_000]
    batches = [0] * BATCH_BITS
    for size in sizes:
        batches[size.bit_length()] += 1
    counts = Snapshot(0, {}, {}, sum(sizes), tuple(batches), 0, {})
    found = shown(Report(counts, None, None, "1", is_compiled=False))
    buckets = {
        labels[0]: value for (name, *labels), value in found.items() if name == "pertoken_commit_batch_commands_bucket"
    }

    assert all(count == sum(size <= float(bound) for size in sizes) for bound, count in buckets.items())
    assert found["pertoken_commit_batch_commands_sum",] == sum(sizes)
    assert len(StoreState().batches) == BATCH_BITS


def test_the_exposition_is_bounded() -> None:
    """With 10,000 models, the number of label values stays limited, and every call is counted under one of them."""
    found = shown(report(*(line(charged(f"model-{number}")) for number in range(10_000))))
    calls = {name: value for name, value in found.items() if name[0] == "pertoken_calls_total"}

    assert len(calls) == SERIES_MAX + 1
    assert sum(calls.values()) == 10_000


def test_no_label_names_a_key_customer_or_user() -> None:
    """The exposition contains no key, customer or user, and no text from a client except names of priced models."""
    of = charged().attribution._replace(customer="customer-7", user="user-7", tags=(("tag-7", "tag-7"),))
    text, _ = render(report(line(charged(attribution=of)), line(status="refused", refusal="forbidden")), "")

    samples = [one for one in text.decode().splitlines() if not one.startswith("#")]
    assert [one for one in samples if any(word in one for word in SECRETS)] == []


def test_a_store_that_fails_leaves_out_what_it_cannot_say() -> None:
    """While the store is down, calls are still shown, the store is shown as down, and budgets are left out."""
    found = shown(report(line(charged()), standing=None, failure="disk full"))

    assert found["pertoken_store_up",] == 0
    assert found["pertoken_calls_total", "m", "p", "ok", "openai.chat"] == 1
    assert [name for name in found if name[0] in ("pertoken_budget_used_ratio", "pertoken_held")] == []


@pytest.mark.parametrize(
    ("inclusive", "expected"),
    [
        ({"input_tokens": 5}, {"input_tokens": 5}),
        ({"input_tokens": 9, "cache_write_tokens": 4, "cache_write_1h_tokens": 3},
         {"input_tokens": 5, "cache_write_tokens": 1, "cache_write_1h_tokens": 3}),
        ({"output_tokens": 1, "reasoning_tokens": 3}, {"output_tokens": 0, "reasoning_tokens": 3}),
    ],
)  # fmt: skip
def test_classes_do_not_overlap(inclusive: dict[str, int], expected: dict[str, int]) -> None:
    """A part is subtracted from its total; a contradiction never makes a count negative."""
    assert disjoint(inclusive) == expected


def asked_for() -> set[str]:
    """Return every metric that the dashboard and the rules use."""
    rules = yaml.safe_load((MONITORING / "rules.yml").read_text())
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    expressions += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [one["definition"] for one in dashboard["templating"]["list"] if "definition" in one]
    return {name for text in expressions for name in NAME.findall(text) if not LABEL.fullmatch(name)}


def test_dashboard_and_rules_ask_for_what_there_is() -> None:
    """Every metric that the dashboard and the alert rules use is in the exposition."""
    there = {name[0] for name in shown(EVERYTHING)}

    assert len(asked_for()) > 20
    assert asked_for() - there == set()


def test_the_docs_list_every_metric() -> None:
    """The page about monitoring names every family, and only families that exist."""
    page = (MONITORING.parent / "how-to" / "monitoring.md").read_text()
    told = set(re.findall(r"`((?:pertoken|gen_ai)_[a-z_]+)(?:\{[^`]*\})?`", page))
    there = {re.sub(r"_(bucket|sum|count)$", "", name[0]) for name in shown(EVERYTHING)}

    assert {name for name in told if not LABEL.fullmatch(name)} == there


def test_promtool_takes_the_rules() -> None:
    """Prometheus' own tool, promtool, finds no error in the alert rules."""
    promtool = shutil.which("promtool")
    if promtool is None:
        print("skipped: promtool is not installed")  # noqa: T201 - the reason, also where -rs is not given
        pytest.skip("promtool is not installed")
    checked = subprocess.run(
        [promtool, "check", "rules", MONITORING / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
