"""The usage tables: each row has a known unit and a source."""

import re

import pytest

from pertoken.core.units import DIMENSIONS
from pertoken.wire import formats, providers, usage_rules
from pertoken.wire.usage_table import Check, UsageRule, UsageTable

TABLES = {name: value for name, value in vars(usage_rules).items() if isinstance(value, UsageTable)}
every_table = pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)


@every_table
def test_every_row_has_its_source(rows: UsageTable) -> None:
    """Every rule names its source and the day on which it was read, so that it can be checked again."""
    for row in (*rows.rules, *rows.listed, *rows.besides, *rows.checks, *rows.zeros, *rows.stated, *rows.plain):
        assert re.search(r"\w+.*; 20\d\d-\d\d-\d\d$", row.source), row


@every_table
def test_every_unit_is_known(rows: UsageTable) -> None:
    """Every unit in a table is a known unit, which can have a price."""
    assert {row.unit for row in (*rows.rules, *rows.listed, *rows.besides, *rows.zeros)} <= set(DIMENSIONS)
    assert {row.unit for row in rows.plain} <= {"input_tokens", "output_tokens"}
    assert {row.name for row in rows.stated} <= {"seconds", "reported_cost", "reported_fee"}


@every_table
def test_every_path_leads_somewhere(rows: UsageTable) -> None:
    """No path has an empty step, and no row is repeated."""
    rules: list[UsageRule | Check] = [*rows.rules, *rows.checks]
    for row in rules:
        paths = [path for term in (row.terms if isinstance(row, UsageRule) else row.parts) for path in term]
        assert all(key and key == key.strip() for path in paths for key in path), row
    assert len(set(rows.rules)) == len(rows.rules)


def test_dialects_are_providers() -> None:
    """Every dialect belongs to a known provider."""
    assert {name for row in formats.ROWS for name in row.dialects} <= providers.PROVIDERS
