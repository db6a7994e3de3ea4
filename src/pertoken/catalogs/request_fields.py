"""Reads `data/request_fields.csv`: how fields of requests affect their cost, with a source for each row."""

import csv
import importlib.resources

from pertoken.catalogs.providers import registry
from pertoken.wire import formats
from pertoken.wire.request_rules import Does, FieldRule, RequestRules, Where


def read() -> RequestRules:
    """Return every reviewed rule."""
    text = importlib.resources.files("pertoken.data").joinpath("request_fields.csv").read_text(encoding="utf-8")
    rules = [
        FieldRule(
            row["format"],
            row["provider"],
            Where(row["where"]),
            row["field"],
            Does(row["does"]),
            row["allows"],
            row["note"],
        )
        for row in csv.DictReader(text.splitlines())
    ]
    two_spellings = [name for name, row in formats.BY_NAME.items() if row.two_spellings]
    return RequestRules(rules, registry(), two_spellings)
