"""Reads `data/price_rules.csv`: our own reviewed rules for prices that the price lists leave out."""

import csv
import importlib.resources

from pertoken.core.conditions import Conditions
from pertoken.core.money import parse_amount
from pertoken.core.periods import FOREVER_US, Window, parse_time
from pertoken.core.prices import Clause, Match, PriceRow, Quota, Source, price_id


def read(recorded_at_us: int) -> list[PriceRow]:
    """Return every rule as a row recorded at `recorded_at_us`."""
    text = importlib.resources.files("pertoken.data").joinpath("price_rules.csv").read_text(encoding="utf-8")
    return [_row(rule, recorded_at_us) for rule in csv.DictReader(text.splitlines())]


def _row(rule: dict[str, str], recorded_at_us: int) -> PriceRow:
    is_factor = rule["kind"] == "factor"
    match = Match(rule["match"])
    row = PriceRow(
        "",
        rule["provider"],
        rule["model"],
        match,
        rule["unit"],
        int(rule["amount"]) if is_factor else parse_amount(rule["amount"]),
        int(rule["per"]),
        "" if is_factor else "USD",
        parse_time(rule["valid_from"]) if rule["valid_from"] else 0,
        parse_time(rule["valid_to"]) if rule["valid_to"] else FOREVER_US,
        recorded_at_us,
        Source.REVIEWED,
        f"{rule['source']} ({rule['evidence']})",
        int(rule["input_above"]) if rule["input_above"] else None,
        _conditions(rule["conditions"]),
        Clause("regex", rule["model"]) if match is Match.RULE else None,
        minimum=int(rule["minimum"] or 0),
        is_factor=is_factor,
        stacks=rule["stacks"] == "true",
        quota=_quota(rule["quota"]),
    )
    return row._replace(price_id=price_id(row))


def _conditions(text: str) -> Conditions:
    pairs = (pair.partition("=") for pair in text.split(";") if pair)
    return tuple(sorted((key, value) for key, _, value in pairs))


def _quota(text: str) -> Quota | None:
    if not text:
        return None
    quantity, window, group = text.split("/")
    return Quota(int(quantity), Window(window), group)
