"""Reads `data/covered_units.csv`: units other than text that providers bill at the price of text."""

import csv
import importlib.resources
import re
from collections.abc import Mapping, Sequence

from pertoken.core.price_book import Cover


def read() -> Mapping[str, Sequence[Cover]]:
    """Return the rules of each provider, by its name in price rows."""
    text = importlib.resources.files("pertoken.data").joinpath("covered_units.csv").read_text(encoding="utf-8")
    found: dict[str, list[Cover]] = {}
    for rule in csv.DictReader(text.splitlines()):
        cover = Cover(re.compile(rule["model"]), rule["unit"], tuple(rule["covers"].split()))
        for provider in rule["providers"].split():
            found.setdefault(provider, []).append(cover)
    return found
