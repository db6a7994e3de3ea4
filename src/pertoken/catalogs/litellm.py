"""Reads LiteLLM's model_prices_and_context_window.json into price rows.

The names of the file's fields include the conditions of a price: `cache_creation_input_token_cost_above_1hr` is a unit,
`_above_200k_tokens` a context tier, and `_batches`, `_flex`, `_priority` and others a service tier. A few prices are
objects. Fields that this table does not know, and numbers that cannot be prices, are left out.
https://github.com/BerriAI/litellm (MIT), as of version 1.109 of November 2026.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from pertoken.core.conditions import TIME, Conditions, NotACondition, time_window
from pertoken.core.money import parse_amount
from pertoken.core.periods import FOREVER_US, Window
from pertoken.core.prices import ALL_TOKENS, Match, PriceRow, Quota, Source, price_id
from pertoken.core.texts import why_no_name
from pertoken.core.usage import QUANTITY_MAX

# the list's field -> our unit, and whether it is a price per token (shown per million)
UNITS: Mapping[str, tuple[str, bool]] = {
    "input_cost_per_token": ("input_tokens", True),
    "output_cost_per_token": ("output_tokens", True),
    "output_cost_per_reasoning_token": ("reasoning_tokens", True),
    "citation_cost_per_token": ("citation_tokens", True),
    "cache_read_input_token_cost": ("cache_read_tokens", True),
    "cache_read_input_audio_token_cost": ("cache_read_audio_tokens", True),
    "cache_read_input_image_token_cost": ("cache_read_image_tokens", True),
    "cache_creation_input_token_cost": ("cache_write_tokens", True),
    "cache_creation_input_token_cost_above_1hr": ("cache_write_1h_tokens", True),
    "cache_creation_input_token_cost_above_12hr": ("cache_write_12h_tokens", True),
    "cache_creation_input_audio_token_cost": ("cache_write_audio_tokens", True),
    "input_cost_per_audio_token": ("input_audio_tokens", True),
    "input_cost_per_image_token": ("input_image_tokens", True),
    "input_cost_per_video_token": ("input_video_tokens", True),
    "output_cost_per_audio_token": ("output_audio_tokens", True),
    "output_cost_per_image_token": ("output_image_tokens", True),
    "output_cost_per_video_token": ("output_video_tokens", True),
    "input_cost_per_character": ("characters", False),
    "input_cost_per_request": ("requests", False),
    "input_cost_per_second": ("seconds", False),
    "output_cost_per_second": ("seconds", False),
    "output_cost_per_image": ("images", False),
    "ocr_cost_per_page": ("pages", False),
    "annotation_cost_per_page": ("annotated_pages", False),
    "input_cost_per_text_message": ("messages", False),
    "google_maps_grounding_cost_per_query": ("map_queries", False),
    "code_interpreter_cost_per_session": ("code_sessions", False),
}
# the end of a field's name -> the condition of its price
TIERS: Mapping[str, tuple[str, str]] = {
    "batches": ("batch", "true"),
    **{tier: ("service_tier", tier) for tier in ("flex", "priority", "balanced", "ultrafast")},
}
SIZES: Mapping[str, str] = {"output_cost_per_second": "resolution", "output_cost_per_image": "size"}
# the list's multiplier -> its region
UPLIFTS: Mapping[str, str] = {
    "regional_processing_uplift_multiplier_eu": "eu",
    "regional_processing_uplift_multiplier_us": "us",
    "regional_endpoint_uplift_multiplier": "regional",
}
PROVIDERS: Mapping[str, str] = {
    "gemini": "google",
    "xai": "x-ai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "voyage": "voyageai",
}

CONTEXT_MAX = 10**9
TOKEN_USD_MAX = 1_000  # no token costs this much; a larger number is a mistake in the list
FACTOR_DIGITS_MAX = 9  # after the decimal point

_ABOVE = re.compile(r"_above_([0-9]{1,6})k_tokens")
_TIER = re.compile(f"_({'|'.join(TIERS)})$")
_SIZE = re.compile(r"_(\d+p|[\d.]+[kK])$")
_PICO = Decimal(10) ** -12
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class NotAPriceList(ValueError):
    """The file is not LiteLLM's price list."""


def read(content: bytes, recorded_at_us: int) -> list[PriceRow]:
    """Return the list's prices as rows recorded at `recorded_at_us`. Raises NotAPriceList."""
    return rows(decode(content), recorded_at_us)


def decode(content: bytes) -> dict[str, Any]:
    """Return the list's models by name, with exact numbers. Raises NotAPriceList."""
    try:
        # numbers such as 1.5e-07 are exact as text, not as floats
        return msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAPriceList(f"not litellm's price list: {error}") from error


def rows(models: Mapping[str, Any], recorded_at_us: int) -> list[PriceRow]:
    """Return the prices of decoded models as rows recorded at `recorded_at_us`."""
    found: list[PriceRow] = []
    for name, stated in models.items():
        if name == "sample_spec" or not isinstance(stated, dict):
            continue
        fields = _meant(stated, models)
        provider = str(fields.get("litellm_provider", ""))
        model = name.removeprefix(f"{provider}/")
        if why_no_name(provider, "the provider") or why_no_name(model, "the model"):
            continue
        template = PriceRow(
            "", PROVIDERS.get(provider, provider), model, Match.EQUALS, "", 0, 10**6, "USD", 0, FOREVER_US,
            recorded_at_us, Source.LITELLM, "litellm price list",
        )  # fmt: skip
        found += [row._replace(price_id=price_id(row)) for row in _model_rows(template, fields)]
    return found


def _meant(fields: dict[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the model that an alias refers to, or the fields themselves if there is no alias."""
    target = models.get(str(fields.get("alias_of", "")))
    return target if isinstance(target, dict) else fields


def _model_rows(template: PriceRow, fields: Mapping[str, Any]) -> Iterator[PriceRow]:
    yield from _rows(template, fields)
    yield from _search_rows(template, fields)
    for part in _objects(fields.get("tiered_pricing")):  # ranges of the whole input
        match part.get("range"):
            case [Decimal() | int() as start, *_] if 0 <= start < CONTEXT_MAX:
                yield from _rows(template._replace(input_above=int(start) or None), part)
    off_peak = fields.get("off_peak_pricing")
    if isinstance(off_peak, dict):
        for hours in _windows(off_peak.get("windows")):
            yield from _rows(template._replace(conditions=((TIME, hours),)), off_peak)
    for field, region in UPLIFTS.items():
        uplift = fields.get(field)
        if isinstance(uplift, Decimal) and _is_factor(uplift):
            top, bottom = uplift.as_integer_ratio()
            yield template._replace(
                unit=ALL_TOKENS, amount_picos=top, per=bottom, currency="", is_factor=True,
                conditions=(("region", region),),
            )  # fmt: skip


def _rows(template: PriceRow, fields: Mapping[str, Any]) -> Iterator[PriceRow]:
    for field, amount in fields.items():
        if not _is_amount(amount):
            continue
        conditions = list(template.conditions)
        tier = _TIER.search(field)
        if tier is not None:
            conditions.append(TIERS[tier[1]])
        name = _TIER.sub("", field)
        above = _ABOVE.search(name)
        name = _ABOVE.sub("", name)
        size = _SIZE.search(name)
        if size is not None and _SIZE.sub("", name) in SIZES:
            name = _SIZE.sub("", name)
            conditions.append((SIZES[name], size[1].lower()))
        if name not in UNITS:
            continue
        unit, per_token = UNITS[name]
        per = 10**6 if per_token else 10**3
        picos = _picos(Decimal(amount) * per)
        if amount and not picos:
            continue  # below one pico, which cannot be stored; it must not become free
        yield template._replace(
            unit=unit,
            amount_picos=picos,
            per=per,
            input_above=int(above[1]) * 1_000 if above else template.input_above,
            conditions=tuple(sorted(conditions)),
        )


def _search_rows(template: PriceRow, fields: Mapping[str, Any]) -> Iterator[PriceRow]:
    """Yield the prices of a web search: one price for all, or one for each size of the search context."""
    stated = fields.get("search_context_cost_per_query")
    if not isinstance(stated, dict):
        return
    costs = {name.rpartition("_")[2]: cost for name, cost in stated.items() if _is_amount(cost)}
    template = template._replace(unit="web_searches", per=1_000, quota=_quota(fields.get("search_free_requests")))
    if len(set(costs.values())) == 1:
        yield template._replace(amount_picos=_picos(Decimal(next(iter(costs.values()))) * 1_000))
        return
    for size, cost in costs.items():
        conditions: Conditions = (("search_context_size", size),)
        yield template._replace(amount_picos=_picos(Decimal(cost) * 1_000), conditions=conditions)


def _quota(stated: object) -> Quota | None:
    match stated:
        case {"count": int(count), "period": "day" | "month" as period, "shared_group": str(group)} if (
            0 < count <= QUANTITY_MAX
        ):
            return Quota(count, Window(period), group)
    return None


def _windows(stated: object) -> Iterator[str]:
    for window in _objects(stated):
        days = window.get("weekdays")
        numbers = [day for day in days if isinstance(day, int) and 1 <= day <= 7] if isinstance(days, list) else []
        named = f"{','.join(_DAYS[day - 1] for day in numbers)} " if numbers else ""
        hours = window.get("hours_utc")
        for span in [hours] if isinstance(hours, str) else hours if isinstance(hours, list) else []:
            if _is_time(f"{named}{span}"):
                yield f"{named}{span}"


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _is_time(text: str) -> bool:
    if not re.search(r"(^| )[0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}$", text):
        return False
    try:
        time_window(text)
    except NotACondition:
        return False
    return True


def _is_factor(value: Decimal) -> bool:
    """Tell whether a value is a plausible factor with few digits. The ratio of 1e-999999999 has a billion digits."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -FACTOR_DIGITS_MAX and 0 < value < TOKEN_USD_MAX


def _is_amount(value: object) -> bool:
    return isinstance(value, Decimal | int) and not isinstance(value, bool) and 0 <= value < TOKEN_USD_MAX


def _picos(amount: Decimal) -> int:
    return parse_amount(str(amount.quantize(_PICO)))
