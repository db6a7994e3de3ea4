"""Reads the price list of the installed genai-prices package into price rows.

genai-prices (MIT) states current prices and, for some models, prices with start dates. We use it as seed data and as a
cross-check, not to rate. Its semantics: of several conditional prices, the last active one replaces the others
completely; a tier's price applies to the whole request if total input is strictly greater than the tier's start; a
variant replaces only the units that it names.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from pertoken.core.conditions import TIME
from pertoken.core.money import parse_amount
from pertoken.core.periods import FOREVER_US, to_us
from pertoken.core.prices import EVERYTHING, Clause, Match, PriceRow, Source, price_id

# genai-prices' field -> our unit, and the number of units that the price is for
UNITS: Mapping[str, tuple[str, int]] = {
    "input_mtok": ("input_tokens", 10**6),
    "cache_read_mtok": ("cache_read_tokens", 10**6),
    "cache_write_mtok": ("cache_write_tokens", 10**6),
    "cache_write_1h_mtok": ("cache_write_1h_tokens", 10**6),
    "input_audio_mtok": ("input_audio_tokens", 10**6),
    "input_image_mtok": ("input_image_tokens", 10**6),
    "input_video_mtok": ("input_video_tokens", 10**6),
    "cache_audio_read_mtok": ("cache_read_audio_tokens", 10**6),
    "cache_image_read_mtok": ("cache_read_image_tokens", 10**6),
    "output_mtok": ("output_tokens", 10**6),
    "output_reasoning_mtok": ("reasoning_tokens", 10**6),
    "output_audio_mtok": ("output_audio_tokens", 10**6),
    "output_image_mtok": ("output_image_tokens", 10**6),
    "output_video_mtok": ("output_video_tokens", 10**6),
    "output_citation_mtok": ("citation_tokens", 10**6),
    "web_searches_kcount": ("web_searches", 1_000),
    "storage_searches_kcount": ("file_searches", 1_000),
    "requests_kcount": ("requests", 1_000),
    "audio_hours": ("seconds", 3_600),
    "input_audio_hours": ("seconds", 3_600),
    "input_mchars": ("characters", 10**6),
    "input_document_kpages": ("pages", 1_000),
    "input_annotated_document_kpages": ("annotated_pages", 1_000),
    "input_text_messages_kcount": ("messages", 1_000),
}

_PICO = Decimal(10) ** -12
# Resellers whose start dates are only the day on which the package read their list; one has 130 models on a single day.
_DATED_BY_READING = frozenset({"openrouter", "quicksilverpro"})
_VARIANT_KEYS = {"service_tier": "service_tier", "speed": "speed", "processing": "batch"}


def read(recorded_at_us: int) -> list[PriceRow]:
    """Return every price of the installed package as rows recorded at `recorded_at_us`."""
    from genai_prices.data import providers  # noqa: PLC0415 - 0.4 s of import, needed once per installation

    evidence = f"genai-prices {version('genai-prices')}"
    rows = []
    for provider in providers:
        for model in provider.models:
            for row in _model_rows(model):
                said = f"{evidence}{_doubt(provider.id, row)}"
                full = row._replace(provider=provider.id, recorded_at_us=recorded_at_us, evidence=said)
                rows.append(full._replace(price_id=price_id(full)))
    return rows


def _doubt(provider: str, row: PriceRow) -> str:
    """Return a note for a dated row whose price may have begun before its first day, otherwise an empty text."""
    return " (first seen on that day, or earlier)" if provider in _DATED_BY_READING and row.valid_from_us else ""


def _model_rows(model: Any) -> Iterator[PriceRow]:
    template = PriceRow(
        "", "", model.id, Match.RULE, "", 0, 1, "USD", 0, FOREVER_US, 0, Source.GENAI, "", rule=_clause(model.match)
    )
    stated = model.prices if isinstance(model.prices, list) else None
    if stated is None:
        yield from _price_rows(template, model.prices)
    else:
        dated = [price for price in stated if not _is_time_window(price.constraint)]
        starts = [_start_us(price.constraint) for price in dated]
        for at, price in enumerate(dated):
            end_us = starts[at + 1] if at + 1 < len(starts) else FOREVER_US
            if starts[at] < end_us:
                yield from _price_rows(template._replace(valid_from_us=starts[at], valid_to_us=end_us), price.prices)
        # The list has no dates for prices by time of day. They apply from the last dated price on, not to the past.
        for price in stated:
            if _is_time_window(price.constraint):
                condition = (_time_condition(price.constraint),)
                yield from _price_rows(template._replace(conditions=condition, valid_from_us=starts[-1]), price.prices)
    for variant in model.price_variants or ():
        conditions = tuple(sorted(_condition(key, value) for key, value in variant.when.items()))
        if conditions == (("service_tier", "default"),):
            continue  # repeats the standard tier
        of_variant = template._replace(conditions=conditions, valid_from_us=_start_us(variant.constraint))
        if all(price is None for price in vars(variant.prices).values()):  # a variant at the standard price
            yield of_variant._replace(unit=EVERYTHING, amount_picos=1, per=1, currency="", is_factor=True)
        yield from _price_rows(of_variant, variant.prices)


def _price_rows(template: PriceRow, prices: Any) -> Iterator[PriceRow]:
    for field, price in vars(prices).items():
        if price is None or field not in UNITS:
            continue
        unit, per = UNITS[field]
        row = template._replace(unit=unit, per=per)
        if isinstance(price, Decimal):
            yield row._replace(amount_picos=_amount(price))
        else:
            yield row._replace(amount_picos=_amount(price.base))
            for tier in price.tiers:
                yield row._replace(amount_picos=_amount(tier.price), input_above=tier.start)


def _amount(price: Decimal) -> int:
    """Return the picos of a price, rounded: a few prices have errors of float arithmetic (0.18000000000000002)."""
    return parse_amount(str(price.quantize(_PICO)))


def _clause(match: Any) -> Clause:
    """Return our clause for a match of genai-prices, whose class name ends in the operator."""
    kind = type(match).__name__.removeprefix("Clause")
    if kind in ("Or", "And"):
        parts = match.or_ if kind == "Or" else match.and_
        return Clause(kind.lower(), parts=tuple(_clause(part) for part in parts))
    op = {
        "Equals": "equals",
        "StartsWith": "starts_with",
        "EndsWith": "ends_with",
        "Contains": "contains",
        "Regex": "regex",
    }[kind]
    text = getattr(match, op)
    return Clause(op, text if op == "regex" else text.lower())


def _condition(key: str, value: str) -> tuple[str, str]:
    if key == "processing" and value == "batch":
        return "batch", "true"
    return _VARIANT_KEYS.get(key, key), value.lower()


def _is_time_window(constraint: Any) -> bool:
    return hasattr(constraint, "start_time")


def _time_condition(constraint: Any) -> tuple[str, str]:
    return TIME, f"{constraint.start_time:%H:%M}-{constraint.end_time:%H:%M}"


def _start_us(constraint: Any) -> int:
    if constraint is None:
        return 0
    return to_us(datetime.combine(constraint.start_date, datetime.min.time(), UTC))
