"""Reads `data/price_history.csv`: our own dated price points, each one reviewed."""

import csv
import importlib.resources

from pertoken.core.money import parse_amount
from pertoken.core.periods import FOREVER_US, parse_time
from pertoken.core.prices import Match, PriceRow, Source, price_id


def read(recorded_at_us: int) -> list[PriceRow]:
    """Return every point as a row recorded at `recorded_at_us`."""
    text = importlib.resources.files("pertoken.data").joinpath("price_history.csv").read_text(encoding="utf-8")
    return [_row(point, recorded_at_us) for point in csv.DictReader(text.splitlines())]


def _row(point: dict[str, str], recorded_at_us: int) -> PriceRow:
    row = PriceRow(
        "",
        point["provider"],
        point["model"],
        Match(point["match"]),
        point["unit"],
        parse_amount(point["amount"]),
        int(point["per"]),
        "USD",
        parse_time(point["valid_from"]),
        parse_time(point["valid_to"]) if point["valid_to"] else FOREVER_US,
        recorded_at_us,
        Source.HISTORY,
        f"{point['source']} ({point['evidence']}{', or earlier' if point['not_later_than'] == 'true' else ''})",
        int(point["input_above"]) if point["input_above"] else None,
    )
    return row._replace(price_id=price_id(row))
