"""What is billed at the price of text though it is none: each rule is known, dated, and of models in the book."""

import csv
import importlib.resources
import re
from pathlib import Path

import pytest

from pertoken.catalogs import covers
from pertoken.core.price_book import PriceBook
from pertoken.core.rates import Rates
from pertoken.core.units import DIMENSIONS, INSIDE, MODALITIES
from pertoken.settings import Settings, load
from pertoken.wiring.prices import shipped_price_book

AT_US = 1_795_780_800_000_000
TEXT = importlib.resources.files("pertoken.data").joinpath("covered_units.csv").read_text(encoding="utf-8")
RULES = list(csv.DictReader(TEXT.splitlines()))


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Return the shipped price book."""
    return shipped_price_book(Settings(), AT_US)


@pytest.mark.parametrize("rule", RULES, ids=lambda one: f"{one['unit']}-{one['covers']}")
def test_every_rule_is_known_and_has_its_source(rule: dict[str, str]) -> None:
    """A rule names units of another modality inside a unit that has none, and who says so on which day."""
    assert MODALITIES.isdisjoint(DIMENSIONS[rule["unit"]])
    for unit in rule["covers"].split():
        assert unit in INSIDE[rule["unit"]]
        assert DIMENSIONS[unit] & MODALITIES
    assert re.search(r"\w+.*; 20\d\d-\d\d-\d\d$", rule["source"])


def test_every_rule_is_of_a_provider_in_the_book(book: PriceBook) -> None:
    """No rule is for a provider whose name no price row has."""
    assert set(covers.read()) <= set(book.providers)


@pytest.mark.parametrize(
    ("provider", "model", "unit", "charged_as"),
    [
        ("openai", "gpt-4o", "input_image_tokens", "input_tokens"),
        ("openai", "gpt-4o", "cache_read_image_tokens", "cache_read_tokens"),
        ("openai", "gpt-4o", "input_audio_tokens", None),
        ("openai", "gpt-image-1", "output_image_tokens", "output_tokens"),
        ("openai", "gpt-image-1.5", "output_image_tokens", "output_image_tokens"),
        ("anthropic", "claude-opus-5-5", "input_image_tokens", "input_tokens"),
        ("google", "gemini-2.5-pro", "input_video_tokens", "input_tokens"),
        ("google", "gemini-2.5-pro", "input_audio_tokens", "input_tokens"),
        ("google", "gemini-2.5-flash", "input_audio_tokens", "input_audio_tokens"),
        ("google", "gemini-2.5-flash-tts", "output_audio_tokens", "output_tokens"),
        ("google", "gemini-2.5-flash", "output_audio_tokens", None),
        ("aws", "amazon.nova-sonic-v1:0", "input_image_tokens", None),
        ("x-ai", "grok-4.3", "input_image_tokens", "input_tokens"),
        ("mistral", "pixtral-large", "input_image_tokens", "input_tokens"),
        ("openrouter", "qwen/qwen-2.5-vl-7b-instruct", "input_audio_tokens", None),
    ],
)
def test_what_models_bill_as_text(
    book: PriceBook, provider: str, model: str, unit: str, charged_as: str | None
) -> None:
    """Pictures, video and sound are charged as each provider says, and have no price where it does not say."""
    rates = book.resolve(provider, model, AT_US)
    assert isinstance(rates, Rates)
    found = rates.at(0).price(unit)

    assert (None if found is None else found.row.unit) == charged_as


SPEAKING = ["gpt-4o-audio-preview", "gpt-4o-mini-audio-preview", "gpt-4o-audio-preview-2024-12-17", "gpt-audio"]


@pytest.mark.parametrize("provider", ["openai", "azure"])
@pytest.mark.parametrize("model", SPEAKING)
def test_sound_is_never_charged_as_text(book: PriceBook, provider: str, model: str) -> None:
    """A model that speaks charges sound at a price of sound, or has none and is refused."""
    rates = book.resolve(provider, model, AT_US)
    assert isinstance(rates, Rates)
    for unit in ("input_audio_tokens", "output_audio_tokens"):
        found = rates.at(0).price(unit)
        assert found is None or found.row.unit == unit


def test_settings_price_pictures_of_ones_own_server(tmp_path: Path) -> None:
    """What the settings state of a server of one's own holds for pictures and video; sound needs a price of its own."""
    config = tmp_path / "pertoken.yaml"
    config.write_text(
        'providers: {mine: {wire: openai, base_url: "http://127.0.0.1:1/v1", prices: {m: {input: "2", output: "3"}}}}'
    )
    rates = shipped_price_book(load({}, str(config)), AT_US).resolve("mine", "m", AT_US)
    assert isinstance(rates, Rates)
    units = ("input_image_tokens", "input_video_tokens", "input_audio_tokens", "output_audio_tokens")
    found = [rates.at(0).price(unit) for unit in units]

    assert [one and one.row.unit for one in found] == ["input_tokens", "input_tokens", None, None]
