"""The shipped price book: every import, every dated point, and merging that never reprices the past."""

import csv
import importlib.resources
import itertools
import json
from decimal import Decimal

import pytest
from genai_prices.data import providers

from pertoken.catalogs import genai, history, litellm, rules
from pertoken.catalogs.limits import ModelLimits
from pertoken.core.bounds import Limits
from pertoken.core.conditions import to_context
from pertoken.core.money import format_amount
from pertoken.core.periods import Window, parse_time
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import PriceRow, Quota
from pertoken.core.rates import Rates
from pertoken.core.units import UNITS
from pertoken.services.catalog import merge

NOW = parse_time("2026-11-23")
LATER = parse_time("2026-12-24")


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Return the price book that a new database begins with."""
    return PriceBook([*genai.read(NOW), *history.read(NOW), *rules.read(NOW)])


@pytest.mark.parametrize(
    ("provider", "model", "at", "input_price", "output_price"),
    [
        ("openai", "o3", "2025-06-09T23:59:59Z", "10", "40"),
        ("openai", "o3", "2025-06-10", "2", "8"),
        ("openai", "o3-2025-04-16", "2025-05-01", "10", "40"),
        ("openai", "gpt-4", "2023-03-14", "30", "60"),
        ("openai", "gpt-3.5-turbo", "2023-05-01", "2", "2"),
        ("openai", "gpt-3.5-turbo", "2023-07-01", "1.5", "2"),
        ("openai", "gpt-3.5-turbo", "2024-02-01", "0.5", "1.5"),
        ("openai", "gpt-4o", "2024-06-01", "5", "15"),
        ("openai", "gpt-4o", "2024-10-02T23:59:59Z", "5", "15"),
        ("openai", "gpt-4o", "2024-10-03", "2.5", "10"),
        ("openai", "gpt-4o", "2026-11-01", "2.5", "10"),
        ("openai", "gpt-4o-mini-2024-07-18", "2026-11-01", "0.15", "0.6"),
        ("openai", "gpt-5.6-luna", "2026-07-29", "1", "6"),
        ("openai", "gpt-5.6-luna", "2026-07-30", "0.2", "1.2"),
        ("openai", "gpt-5.6-sol", "2026-08-20", "5", "30"),
        ("openai", "gpt-5.6-sol", "2026-08-21", "4", "20"),
        ("anthropic", "claude-3-5-haiku-20241022", "2024-12-02", "1", "5"),
        ("anthropic", "claude-3-5-haiku-20241022", "2024-12-03", "0.8", "4"),
        ("anthropic", "claude-opus-4-20250514", "2025-06-01", "15", "75"),
        ("anthropic", "claude-opus-4-5", "2025-12-01", "5", "25"),
        ("google", "gemini-2.5-pro", "2025-07-01", "1.25", "10"),
        ("google", "gemini-4-argon", "2026-11-30", "2", "10"),
        ("google", "gemini-4-argon", "2026-12-01", "4", "20"),
        ("deepseek", "deepseek-chat", "2025-02-07", "0.14", "0.28"),
        ("deepseek", "deepseek-chat", "2025-02-08", "0.27", "1.1"),
        ("mistral", "mistral-large-4", "2026-10-28", "1.36", "4.18"),
        ("mistral", "mistral-large-4", "2026-10-29", "0.7", "2.1"),
        ("openai", "gpt-4-32k", "2023-03-14", "60", "120"),
        ("openai", "gpt-3.5-turbo-16k", "2023-06-13", "3", "4"),
        ("openai", "gpt-4-1106-preview", "2023-11-06", "10", "30"),
        ("openai", "gpt-4-turbo", "2024-04-09", "10", "30"),
        ("openai", "gpt-4o-2024-08-06", "2024-08-06", "2.5", "10"),
        ("openai", "o1-preview", "2024-09-12", "15", "60"),
        ("openai", "o1", "2024-12-05", "15", "60"),
        ("openai", "o1-mini", "2024-10-01", "3", "12"),
        ("openai", "o1-mini", "2025-02-01", "1.1", "4.4"),
        ("openai", "gpt-4.5-preview", "2025-02-27", "75", "150"),
        ("openai", "gpt-4.1-nano", "2025-04-14", "0.1", "0.4"),
        ("openai", "o3-pro", "2025-06-10", "20", "80"),
        ("openai", "gpt-5", "2025-08-07", "1.25", "10"),
        ("openai", "gpt-5.4", "2026-03-05", "2.5", "15"),
        ("openai", "gpt-5.5", "2026-04-23", "5", "30"),
        ("openai", "gpt-5.6-terra", "2026-07-29", "2.5", "15"),
        ("anthropic", "claude-2.1", "2024-01-30", "8", "24"),
        ("anthropic", "claude-3-opus-20240229", "2024-02-29", "15", "75"),
        ("anthropic", "claude-3-haiku-20240307", "2024-03-07", "0.25", "1.25"),
        ("anthropic", "claude-haiku-4-5", "2025-10-15", "1", "5"),
        ("anthropic", "claude-sonnet-5", "2026-06-30", "2", "10"),
        ("google", "gemini-1.5-flash", "2024-06-30", "0.35", "1.05"),
        ("google", "gemini-1.5-flash", "2024-08-11", "0.35", "1.05"),
        ("google", "gemini-1.5-flash", "2024-08-12", "0.075", "0.3"),
        ("google", "gemini-1.5-pro", "2024-09-30", "3.5", "10.5"),
        ("google", "gemini-1.5-pro", "2024-10-01", "1.25", "5"),
        ("google", "gemini-2.5-flash-preview-04-17", "2025-05-01", "0.15", "3.5"),
        ("google", "gemini-2.5-pro-preview-05-06", "2025-05-10", "1.25", "10"),
        ("google", "gemini-2.0-flash", "2025-02-13", "0.1", "0.4"),
        ("google", "gemini-3-pro-preview", "2025-11-18", "2", "12"),
        ("deepseek", "deepseek-chat", "2024-07-01", "0.14", "0.28"),
        ("deepseek", "deepseek-chat", "2025-08-24T12:00:00Z", "0.27", "1.1"),
        ("deepseek", "deepseek-chat", "2025-08-24T17:00:00Z", "0.135", "0.55"),
        ("deepseek", "deepseek-chat", "2025-09-05T16:00:00Z", "0.56", "1.68"),
        ("deepseek", "deepseek-chat", "2025-10-15T17:00:00Z", "0.28", "0.42"),
        ("deepseek", "deepseek-reasoner", "2025-06-01T12:00:00Z", "0.55", "2.19"),
        ("deepseek", "deepseek-reasoner", "2025-06-01T17:00:00Z", "0.135", "0.55"),
        ("mistral", "mistral-large-latest", "2025-12-01", "2", "6"),
        ("mistral", "mistral-large-latest", "2025-12-02", "0.5", "1.5"),
        ("mistral", "mistral-medium-latest", "2025-05-06", "2.7", "8.1"),
        ("mistral", "mistral-medium-latest", "2026-06-15", "0.4", "2"),
        ("mistral", "mistral-medium-latest", "2026-06-16", "1.5", "7.5"),
        ("mistral", "mistral-medium", "2026-11-27", "1.5", "7.5"),
        ("mistral", "magistral-small-latest", "2026-06-30", "0.5", "1.5"),
        ("mistral", "magistral-small-latest", "2026-07-01", "0.15", "0.6"),
        ("mistral", "magistral-medium-latest", "2026-11-27", "2", "7.5"),
        ("mistral", "ministral-3b-latest", "2025-12-01", "0.04", "0.04"),
        ("mistral", "ministral-3b-latest", "2025-12-02", "0.1", "0.1"),
        ("mistral", "mistral-small", "2026-11-27", "0.15", "0.6"),
        ("google", "gemini-flash-latest", "2025-10-01", "0.3", "2.5"),
        ("google", "gemini-flash-latest", "2026-02-01", "0.5", "3"),
        ("google", "gemini-flash-latest", "2026-06-01", "1.5", "9"),
        ("google", "gemini-flash-latest", "2026-11-27", "0.75", "3.75"),
        ("google", "gemini-flash-latest", "2027-01-01", "1.5", "7.5"),
        ("google", "gemini-flash-lite-latest", "2026-07-20", "0.25", "1.5"),
        ("google", "gemini-flash-lite-latest", "2026-07-21", "0.3", "2.5"),
        ("x-ai", "grok-code-fast-1", "2026-05-15T18:59:59Z", "0.2", "1.5"),
        ("x-ai", "grok-code-fast-1", "2026-05-15T19:00:00Z", "1", "2"),
        ("x-ai", "grok-latest", "2026-05-01", "1.25", "2.5"),
        ("x-ai", "grok-latest", "2026-11-27", "2", "6"),
        ("deepseek", "deepseek-chat", "2026-11-01", "0.14", "0.28"),
    ],
)
def test_prices_at_dates(
    book: PriceBook, provider: str, model: str, at: str, input_price: str, output_price: str
) -> None:
    """A model's price at a date is what the provider charged then."""
    rates = book.resolve(provider, model, parse_time(at))

    assert isinstance(rates, Rates)
    rows = rates.at(0).rows
    assert format_amount(rows["input_tokens"].amount_picos) == input_price
    assert format_amount(rows["output_tokens"].amount_picos) == output_price


@pytest.mark.parametrize(
    ("provider", "model", "unit", "at", "asked", "price"),
    [
        ("openai", "o1-mini", "cache_read_tokens", "2024-11-01", {}, "1.5"),
        ("openai", "o1-mini", "cache_read_tokens", "2025-03-01", {}, "0.55"),
        ("openai", "o3", "cache_read_tokens", "2025-05-01", {}, "2.5"),
        ("openai", "o3", "cache_read_tokens", "2025-06-10", {}, "0.5"),
        ("anthropic", "claude-3-5-haiku-20241022", "cache_write_tokens", "2024-11-10", {}, "1.25"),
        ("anthropic", "claude-3-5-haiku-20241022", "cache_read_tokens", "2024-12-03", {}, "0.08"),
        ("deepseek", "deepseek-chat", "cache_read_tokens", "2024-09-01", {}, "0.014"),
        ("deepseek", "deepseek-chat", "cache_read_tokens", "2025-03-01T12:00:00Z", {}, "0.07"),
        ("deepseek", "deepseek-chat", "cache_read_tokens", "2025-03-01T17:00:00Z", {}, "0.035"),
        ("deepseek", "deepseek-chat", "cache_read_tokens", "2025-10-15T12:00:00Z", {}, "0.028"),
        ("deepseek", "deepseek-chat", "cache_read_tokens", "2026-05-01", {}, "0.0028"),
        ("mistral", "codestral-latest", "cache_read_tokens", "2026-11-27", {}, "0.03"),
        ("x-ai", "grok-4.7", "input_tokens", "2026-11-27", {"batch": "true"}, "1.6"),
        ("x-ai", "grok-4.20-beta-reasoning", "output_tokens", "2026-11-27", {"batch": "true"}, "2"),
        ("google", "gemini-3.8-flash", "input_tokens", "2026-11-27", {"service_tier": "priority"}, "1.35"),
        ("google", "gemini-3.8-flash", "input_tokens", "2027-01-01", {"service_tier": "priority"}, "2.7"),
        ("google", "gemini-4-argon", "cache_read_tokens", "2026-12-01", {"service_tier": "flex"}, "0.1"),
        ("google", "gemini-2.5-pro", "cache_read_tokens", "2026-11-27", {"service_tier": "flex"}, "0.125"),
        ("openai", "gpt-6-astra", "output_tokens", "2026-11-27", {"service_tier": "ultrafast"}, "300"),
        ("openai", "gpt-6-sol", "cache_write_12h_tokens", "2026-11-27", {}, "5"),
        ("openai", "gpt-4o-audio-preview", "input_audio_tokens", "2024-11-01", {}, "100"),
        ("openai", "gpt-4o-audio-preview-2025-06-03", "input_audio_tokens", "2026-11-27", {}, "40"),
        ("openai", "gpt-4o-audio-preview-2024-10-01", "output_audio_tokens", "2026-11-27", {}, "200"),
        ("openai", "gpt-4o-mini-audio-preview", "output_audio_tokens", "2026-11-27", {}, "20"),
        ("azure", "gpt-4o-audio-preview-2024-12-17", "output_audio_tokens", "2026-11-27", {}, "80"),
        ("azure", "gpt-4o-mini-audio-preview-2024-12-17", "input_audio_tokens", "2026-11-27", {}, "10"),
        ("openai", "gpt-4o-search-preview-2025-03-11", "requests", "2026-11-27", {}, "25000"),
        ("openai", "gpt-5-search-api", "requests", "2026-11-27", {}, "10000"),
        ("openai", "gpt-4.1", "web_searches", "2026-11-27", {}, "25000"),
        ("openai", "gpt-4.1", "web_searches", "2026-11-27", {"web_search_tool": "web_search"}, "10000"),
        ("openai", "gpt-6-sol", "code_sessions", "2026-11-27", {}, "30000"),
        ("openai", "gpt-6-sol", "code_sessions", "2026-11-27", {"container_memory": "64g"}, "1920000"),
        ("perplexity", "sonar", "requests", "2026-11-27", {}, "12000"),
        ("perplexity", "sonar", "requests", "2026-11-27", {"search_context_size": "low"}, "5000"),
    ],
)
def test_units_and_conditions_at_dates(
    book: PriceBook, provider: str, model: str, unit: str, at: str, asked: dict[str, str], price: str
) -> None:
    """What lists leave out has its own price: caches at launch, tiers of service, sound, searches, sessions."""
    rates = book.resolve(provider, model, parse_time(at), to_context(tuple(asked.items())))

    assert isinstance(rates, Rates), rates
    found = rates.at(0).price(unit)
    assert found is not None
    assert found.row.unit == unit
    assert format_amount(found.amount(10**6)) == price


@pytest.mark.parametrize(
    ("at", "input_tokens", "price"),
    [
        ("2026-02-05", 200_000, "5"),
        ("2026-02-05", 200_001, "10"),
        ("2026-03-12T23:59:59Z", 200_001, "10"),
        ("2026-03-13", 200_001, "5"),
    ],
)
def test_a_context_tier_ends_with_its_time(book: PriceBook, at: str, input_tokens: int, price: str) -> None:
    """Opus 4.6 cost twice as much above 200,000 tokens until 12 March 2026, and one price since."""
    rates = book.resolve("anthropic", "claude-opus-4-6", parse_time(at))

    assert isinstance(rates, Rates)
    assert format_amount(rates.at(input_tokens).rows["input_tokens"].amount_picos) == price


def test_the_days_of_a_resellers_steps_are_no_more_than_days_of_reading() -> None:
    """A step of OpenRouter's says that it may have begun earlier; a step of a maker's own does not."""
    dated = [row for row in genai.read(NOW) if row.valid_from_us and not row.conditions]
    doubted = {row.provider for row in dated if "or earlier" in row.evidence}

    assert doubted == {"openrouter", "quicksilverpro"}
    assert all("or earlier" in row.evidence for row in dated if row.provider in doubted)
    assert {"openai", "google", "anthropic", "deepseek"} <= {row.provider for row in dated} - doubted


def test_history_is_sound() -> None:
    """At least a hundred dated points; no two prices of one thing overlap in time; each says who says so."""
    rows = history.read(NOW)

    assert len({(row.model, row.input_above, row.valid_from_us) for row in rows}) >= 100
    assert all(row.unit in UNITS and row.valid_from_us < row.valid_to_us and row.evidence for row in rows)
    by_thing: dict[tuple[object, ...], list[PriceRow]] = {}
    for row in rows:
        by_thing.setdefault((row.provider, row.model, row.match, row.unit, row.input_above), []).append(row)
    for points in by_thing.values():
        points.sort(key=lambda row: row.valid_from_us)
        assert all(one.valid_to_us <= other.valid_from_us for one, other in itertools.pairwise(points))


def test_every_current_base_price_of_genai_prices_is_there() -> None:
    """What genai-prices states undated for input and output, its rows state too."""
    rows = {
        (row.provider, row.model, row.unit): row
        for row in genai.read(NOW)
        if not row.conditions and not row.input_above
    }
    checked = 0
    for provider in providers:
        for model in provider.models:
            for unit, field in (("input_tokens", "input_mtok"), ("output_tokens", "output_mtok")):
                stated = None if isinstance(model.prices, list) else getattr(model.prices, field)
                if isinstance(stated, Decimal):
                    assert rows[provider.id, model.id, unit].amount_picos == round(stated * 10**12)
                    checked += 1

    assert checked > 2_000


def test_importing_again_changes_nothing() -> None:
    """The same list a month later adds and supersedes nothing."""
    known = genai.read(NOW)
    change = merge(known, genai.read(LATER), LATER)

    assert (change.added, change.superseded) == ((), ())
    assert change.unchanged == len(known)


def test_a_price_changed_in_place_starts_now() -> None:
    """An undated price that differs is closed now and begins anew now: what was rated before stays as it was."""
    known = [row for row in genai.read(NOW) if row.model == "gpt-4o-mini" and row.provider == "openai"]
    offered = [
        row._replace(amount_picos=row.amount_picos * 2)
        if row.unit == "cache_read_tokens" and not row.conditions
        else row
        for row in known
    ]
    change = merge(known, offered, LATER)
    book = PriceBook([*(row for row in known if row not in change.superseded), *change.added])

    def amount(at_us: int) -> int:
        rates = book.resolve("openai", "gpt-4o-mini", at_us)
        assert isinstance(rates, Rates)
        return rates.at(0).rows["cache_read_tokens"].amount_picos

    assert amount(LATER) == amount(LATER + 1) == 2 * amount(LATER - 1)
    assert (
        merge([*(row for row in known if row not in change.superseded), *change.added], offered, LATER + 5).added == ()
    )


def test_litellm() -> None:
    """LiteLLM's names carry tiers, batch and thresholds; numbers such as 1.5e-07 stay exact."""
    content = {
        "sample_spec": {"input_cost_per_token": 1},
        "gpt-x": {
            "litellm_provider": "openai",
            "input_cost_per_token": 1.5e-07,
            "output_cost_per_token": 6e-07,
            "input_cost_per_token_above_200k_tokens": 3e-07,
            "input_cost_per_token_batches": 7.5e-08,
            "output_cost_per_token_flex": 3e-07,
            "mode": "chat",
        },
    }
    rows = {(row.unit, row.input_above, row.conditions): row for row in litellm.read(json.dumps(content).encode(), NOW)}

    assert {key: format_amount(row.amount_picos) for key, row in rows.items()} == {
        ("input_tokens", None, ()): "0.15",
        ("output_tokens", None, ()): "0.6",
        ("input_tokens", 200_000, ()): "0.3",
        ("input_tokens", None, (("batch", "true"),)): "0.075",
        ("output_tokens", None, (("service_tier", "flex"),)): "0.3",
    }
    with pytest.raises(litellm.NotAPriceList):
        litellm.read(b"[]", NOW)


def test_an_alias_in_litellms_list() -> None:
    """A name that the list states as another's alias has that model's prices; one without a target has none."""
    content = {
        "xai/grok-x": {"litellm_provider": "xai", "input_cost_per_token": 2e-06},
        "xai/grok-latest": {"alias_of": "xai/grok-x"},
        "xai/grok-gone": {"alias_of": "xai/nobody"},
        "xai/grok-circle": {"alias_of": "xai/grok-circle"},
    }
    rows = litellm.read(json.dumps(content).encode(), NOW)

    assert {(row.provider, row.model, format_amount(row.amount_picos)) for row in rows} == {
        ("x-ai", "grok-x", "2"),
        ("x-ai", "grok-latest", "2"),
    }


def test_what_litellm_states_in_objects() -> None:
    """Ranges, hours off peak with weekdays, searches by context size with a free quota, regions and sizes."""
    content = {
        "dashscope/ranged": {
            "litellm_provider": "dashscope",
            "tiered_pricing": [
                {"input_cost_per_token": 5e-08, "range": [0, 256000.0]},
                {"input_cost_per_token": 2.5e-07, "range": [256000.0, 1000000.0]},
            ],
        },
        "dashscope/peak": {
            "litellm_provider": "dashscope",
            "input_cost_per_token": 3e-07,
            "off_peak_pricing": {
                "input_cost_per_token": 1.5e-07,
                "windows": [
                    {"hours_utc": ["00:00-01:00", "10:00-00:00"], "weekdays": [1, 2, 3, 4, 5]},
                    {"hours_utc": "00:00-00:00", "weekdays": [6, 7]},
                ],
            },
        },
        "gemini/search": {
            "litellm_provider": "gemini",
            "search_context_cost_per_query": {f"search_context_size_{size}": 0.014 for size in ("low", "high")},
            "search_free_requests": {"count": 5000, "period": "month", "shared_group": "gemini-3"},
        },
        "regional": {
            "litellm_provider": "openai",
            "input_cost_per_token": 1e-05,
            "input_cost_per_token_above_272k_tokens_priority": 4e-05,
            "cache_creation_input_token_cost_above_12hr": 2.5e-05,
            "regional_processing_uplift_multiplier_eu": 1.1,
            "output_cost_per_image_2K": 0.12,
        },
    }
    rows = litellm.read(json.dumps(content).encode(), NOW)
    book = PriceBook(rows)

    def price(provider: str, model: str, unit: str, at: str, tokens: int = 0, **asked: str) -> str | None:
        rates = book.resolve(provider, model, parse_time(at), to_context(tuple(sorted(asked.items()))))
        assert isinstance(rates, Rates), rates
        found = rates.at(tokens).price(unit)
        return None if found is None else format_amount(found.amount(10**6))

    monday, saturday = "2026-11-23", "2026-11-21"
    assert price("dashscope", "ranged", "input_tokens", monday, 256_000) == "0.05"
    assert price("dashscope", "ranged", "input_tokens", monday, 256_001) == "0.25"
    assert price("dashscope", "peak", "input_tokens", f"{monday}T01:00:00Z") == "0.3"
    assert price("dashscope", "peak", "input_tokens", f"{monday}T23:00:00Z") == "0.15"
    assert price("dashscope", "peak", "input_tokens", f"{saturday}T05:00:00Z") == "0.15"
    assert [(row.amount_picos, row.quota) for row in rows if row.unit == "web_searches"] == [
        (14 * 10**12, Quota(5_000, Window.MONTH, "gemini-3"))
    ]
    assert price("openai", "regional", "input_tokens", monday, region="eu") == "11"
    assert price("openai", "regional", "input_tokens", monday, 272_001, service_tier="priority", region="eu") == "44"
    assert price("openai", "regional", "cache_write_12h_tokens", monday) == "25"
    assert price("openai", "regional", "images", monday, size="2k") == "120000"


@pytest.mark.parametrize(
    ("at", "price"),
    [
        ("2026-11-20T02:00:00Z", "1.32"),  # a Friday, at peak
        ("2026-11-20T05:00:00Z", "0.66"),
        ("2026-11-21T02:00:00Z", "0.66"),  # on Saturday there is no peak
        ("2026-11-22T09:59:59Z", "0.66"),
        ("2026-11-23T09:59:59Z", "1.32"),
    ],
)
def test_peak_hours_are_on_weekdays(book: PriceBook, at: str, price: str) -> None:
    """DeepSeek's hours of the day are for Monday to Friday; genai-prices leaves the weekdays out, our rule does not."""
    rates = book.resolve("deepseek", "deepseek-v4-pro", parse_time(at))

    assert isinstance(rates, Rates)
    assert format_amount(rates.at(0).rows["input_tokens"].amount_picos) == price


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("openai", "gpt-4o-mini", Limits(16_384, 128_000)),
        ("openai", "gpt-4o-2024-05-13", Limits(4_096, 128_000)),
        ("openai", "gpt-4.1-nano", Limits(32_768, 1_047_576)),
        ("openai", "gpt-6.1-sol", Limits(128_000, 1_050_000)),
        ("anthropic", "claude-sonnet-4-5-20250929", Limits(64_000, 1_000_000)),
        ("anthropic", "claude-sonnet-4-6", Limits(128_000, 1_000_000)),
        ("anthropic", "claude-opus-5-5", Limits(128_000, 1_000_000)),
        ("google", "gemini-4-argon", Limits(1_048_576, 1_048_576)),
        ("mistral", "mistral-large-4", Limits(1_048_576, 1_048_576)),
        ("mistral", "mistral-large-2512", Limits(262_144, 262_144)),
        ("deepseek", "deepseek-v4-pro", Limits(393_216, 1_000_000)),
        ("x-ai", "grok-4.20-multi-agent", Limits(1_000_000, 1_000_000)),
        ("x-ai", "grok-4-fast-reasoning", Limits(2_000_000, 2_000_000)),
        ("openrouter", "openai/gpt-4o-mini", Limits(16_384, 128_000)),
        ("groq", "openai/gpt-oss-120b", Limits(131_072, 131_072)),
        ("openrouter", "mistralai/mistral-large-2512", Limits(262_144, 262_144)),
        ("openai", "never-heard-of", Limits()),
        ("openai", "/" * 100_000, Limits()),
        ("nobody", "gpt-4o", Limits()),
    ],
)
def test_model_limits(provider: str, model: str, expected: Limits) -> None:
    """The closest name decides; what is not known is not guessed."""
    assert ModelLimits().find(provider, model) == expected


def test_model_limits_are_sound() -> None:
    """Each row says who says so, stands once, and makes no more than its context holds."""
    with importlib.resources.files("pertoken.data").joinpath("model_limits.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [(row["provider"], row["model"]) for row in rows]

    assert len(names) == len(set(names))
    assert {row["match"] for row in rows} == {"equals", "snapshot", "prefix"}
    assert all(row["source"] and "remember" not in row["source"] for row in rows)
    assert all(int(row["max_output_tokens"]) <= int(row["context_tokens"]) for row in rows)
    assert {row["provider"] for row in rows} <= {one.id for one in providers}


def test_no_context_is_smaller_than_genai_prices_says() -> None:
    """A bound on hidden input must not be too small: no listed context is below the one that genai-prices states."""
    limits = ModelLimits()
    for provider in providers:
        for model in provider.models:
            known = limits.find(provider.id, model.id).context_tokens
            if provider.id in {"openai", "anthropic", "google", "mistral", "deepseek", "x-ai"} and known is not None:
                assert known >= (model.context_window or 0), (provider.id, model.id)
