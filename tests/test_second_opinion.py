"""LiteLLM's list against our prices: today's differences are all decided, and a new one or a gone one is found."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "second_opinion.py"
RIGHT = {"ours", "both", "open"}  # what LiteLLM has right is mended in our data instead


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("second_opinion", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["second_opinion"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def models(script: ModuleType) -> dict[str, Any]:
    """Return LiteLLM's list, or skip: pip may have no network."""
    try:
        found: dict[str, Any] = script.fetch()
    except script.Unfetched as error:
        pytest.skip(f"pip cannot fetch litellm {script.VERSION}: {error}")
    return found


def test_every_difference_is_decided(script: ModuleType, models: dict[str, Any]) -> None:
    """No price of a maker's own API differs from ours without a verdict, and no verdict is left over."""
    found = script.differences(models)

    assert len(script.stated(models)) > 3_000
    assert script.judge(found, script.read_verdicts()) == ([], [])


UPDATES: dict[str, dict[str, Any]] = {
    "gpt-4o": {"input_cost_per_token": 1, "input_cost_per_token_flex": 2},
    "gpt-5.4": {"output_cost_per_token_above_272k_tokens": 1},
    "gpt-99": {"litellm_provider": "openai", "input_cost_per_token": 1},
    "mistral/open-mistral-nemo": {"input_cost_per_token": 1, "output_cost_per_token": 1.5e-07},
}
UNDECIDED = [
    ("mistral", "open-mistral-nemo", "input_tokens", "", "0.15", "1000000"),  # another price than the one decided
    ("openai", "gpt-4o", "input_tokens", "", "2.5", "1000000"),
    ("openai", "gpt-4o", "input_tokens", "service_tier=flex", "refused", "2000000"),
    ("openai", "gpt-5.4", "output_tokens", "input_above=272000", "22.5", "1000000"),
    ("openai", "gpt-99", "input_tokens", "", "unknown", "1000000"),
]
STALE = [("open-mistral-nemo", "input_tokens"), ("open-mistral-nemo", "output_tokens")]


def test_an_update_that_brings_a_difference_or_takes_one_away_is_found(
    script: ModuleType, models: dict[str, Any]
) -> None:
    """A newer price, tier, step or model is undecided; a verdict on what is stated otherwise now is left over."""
    updated = {**models, **{name: {**models.get(name, {}), **fields} for name, fields in UPDATES.items()}}
    undecided, stale = script.judge(script.differences(updated), script.read_verdicts())

    assert [tuple(one) for one in undecided] == UNDECIDED
    assert [(one.model, one.unit) for one in stale] == STALE


def test_what_is_printed_names_each_field_and_where_to_decide(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An open difference is printed with the names of the columns, and with the file that takes the verdict."""
    one = script.Difference("openai", "gpt-4o", "input_tokens", "", "2.5", "1")
    monkeypatch.setattr(script, "fetch", dict)
    monkeypatch.setattr(script, "differences", lambda _models: [one])
    monkeypatch.setattr(script, "read_verdicts", list)

    assert script.main() == 1
    said = capsys.readouterr().out
    assert "provider=openai, model=gpt-4o, unit=input_tokens, conditions=(none), ours=2.5, theirs=1" in said
    assert "add a line to .ci/second_opinion.csv" in said


def test_verdicts_are_sound(script: ModuleType) -> None:
    """Each is stated once, says which is right, why, by what source, and on which day it was reviewed."""
    verdicts = script.read_verdicts()

    assert len({one[:6] for one in verdicts}) == len(verdicts) > 100
    assert {one.right for one in verdicts} == RIGHT
    assert all(one.why and one.source and one.reviewed >= "2026-11-27" for one in verdicts)


def test_only_makers_and_what_is_served_are_compared(script: ModuleType) -> None:
    """Clouds, resellers, retired models and models sold on under another maker's name are left out."""
    models = {
        "openai/kept": {"litellm_provider": "openai", "input_cost_per_token": 1},
        "alias": {"alias_of": "openai/kept"},
        "azure/cloud": {"litellm_provider": "azure", "input_cost_per_token": 1},
        "perplexity/openai/sold-on": {"litellm_provider": "perplexity", "input_cost_per_token": 1},
        "retired": {"litellm_provider": "openai", "input_cost_per_token": 1, "deprecation_date": "2026-11-26"},
        "retires": {"litellm_provider": "openai", "input_cost_per_token": 1, "deprecation_date": "2026-11-27"},
    }

    assert {row.model for row in script.stated(models)} == {"kept", "alias", "retires"}


def test_a_list_that_is_not_the_one_reviewed_is_refused(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the wheel holds must be what was compared by hand, byte for byte."""
    monkeypatch.setattr(script, "FETCHED", tmp_path / "list.json")
    monkeypatch.setattr(script, "_download", lambda: b"{}")

    with pytest.raises(ValueError, match="not the one reviewed"):
        script.fetch()
    assert not (tmp_path / "list.json").exists()


def test_without_pip_it_says_that_nothing_was_compared(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine that pip cannot fetch from is no failure, and no agreement either."""

    def nothing() -> bytes:
        raise script.Unfetched("no network")

    monkeypatch.setattr(script, "FETCHED", tmp_path / "list.json")
    monkeypatch.setattr(script, "_download", nothing)

    assert script.main() == 0
    assert "NOT compared" in capsys.readouterr().err
