"""LiteLLM's model_prices_and_context_window.json, read into price rows.

The file states prices per token under names that carry their conditions (`input_cost_per_token_above_200k_tokens`);
what says neither tokens of text nor cache is left out. https://github.com/BerriAI/litellm (MIT)
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from pertoken.core.money import parse_amount
from pertoken.core.periods import FOREVER_US
from pertoken.core.prices import Match, PriceRow, Source, price_id

UNITS: Mapping[str, str] = {
    "input_cost_per_token": "input_tokens",
    "output_cost_per_token": "output_tokens",
    "output_cost_per_reasoning_token": "reasoning_tokens",
    "cache_read_input_token_cost": "cache_read_tokens",
    "cache_creation_input_token_cost": "cache_write_tokens",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_tokens",
    "input_cost_per_audio_token": "input_audio_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
}
PROVIDERS: Mapping[str, str] = {
    "gemini": "google",
    "xai": "x-ai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
}

TOKEN_USD_MAX = 1_000  # nothing costs so much a token: such a number is a mistake in the list

_ABOVE = re.compile(r"_above_(\d+)k_tokens")
_TIER = re.compile(r"_(flex|priority|batches)$")
_PICO = Decimal(10) ** -12


class NotAPriceList(ValueError):
    """A file is not LiteLLM's price list."""


def read(content: bytes, recorded_at_us: int) -> list[PriceRow]:
    """Return the list's prices as rows recorded at `recorded_at_us`. Raises NotAPriceList."""
    try:
        # numbers such as 1.5e-07 are exact as text, not as floats
        models = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotAPriceList(f"not litellm's price list: {error}") from error
    rows = []
    for name, fields in models.items():
        if name == "sample_spec" or not isinstance(fields, dict):
            continue
        provider = str(fields.get("litellm_provider", ""))
        model = name.removeprefix(f"{provider}/")
        template = PriceRow(
            "", PROVIDERS.get(provider, provider), model, Match.EQUALS, "", 0, 10**6, "USD", 0, FOREVER_US,
            recorded_at_us, Source.LITELLM, "litellm price list",
        )  # fmt: skip
        rows += [row._replace(price_id=price_id(row)) for row in _rows(template, fields)]
    return rows


def _rows(template: PriceRow, fields: Mapping[str, Any]) -> Iterator[PriceRow]:
    for field, amount in fields.items():
        if not isinstance(amount, Decimal | int) or isinstance(amount, bool) or not 0 <= amount < TOKEN_USD_MAX:
            continue
        tier = _TIER.search(field)
        name = _TIER.sub("", field)
        above = _ABOVE.search(name)
        unit = UNITS.get(_ABOVE.sub("", name))
        if unit is None:
            continue
        conditions: tuple[tuple[str, str], ...] = ()
        if tier is not None:
            conditions = (("batch", "true"),) if tier[1] == "batches" else (("service_tier", tier[1]),)
        yield template._replace(
            unit=unit,
            amount_picos=parse_amount(str((Decimal(amount) * 10**6).quantize(_PICO))),
            input_above=int(above[1]) * 1_000 if above else None,
            conditions=conditions,
        )
