"""The tables of usage: each row is of a known unit and says where it comes from."""

import re

import pytest

from pertoken.core.units import DIMENSIONS
from pertoken.wire import formats, providers, usage_rules
from pertoken.wire.usage_table import Check, UsageRule, UsageTable

TABLES = {name: value for name, value in vars(usage_rules).items() if isinstance(value, UsageTable)}
every_table = pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)


@every_table
def test_every_row_has_its_source(rows: UsageTable) -> None:
    """A rule that nobody can check again is no rule: each names what was read, and on which day."""
    for row in (*rows.rules, *rows.listed, *rows.besides, *rows.checks, *rows.zeros, *rows.stated, *rows.plain):
        assert re.search(r"\w+.*; 20\d\d-\d\d-\d\d$", row.source), row


@every_table
def test_every_unit_is_known(rows: UsageTable) -> None:
    """What a table finds is something that has a price."""
    assert {row.unit for row in (*rows.rules, *rows.listed, *rows.besides, *rows.zeros)} <= set(DIMENSIONS)
    assert {row.unit for row in rows.plain} <= {"input_tokens", "output_tokens"}
    assert {row.name for row in rows.stated} <= {"seconds", "reported_cost", "reported_fee"}


@every_table
def test_every_path_leads_somewhere(rows: UsageTable) -> None:
    """No path has an empty step, and no row is there twice."""
    rules: list[UsageRule | Check] = [*rows.rules, *rows.checks]
    for row in rules:
        paths = [path for term in (row.terms if isinstance(row, UsageRule) else row.parts) for path in term]
        assert all(key and key == key.strip() for path in paths for key in path), row
    assert len(set(rows.rules)) == len(rows.rules)


def test_dialects_are_providers() -> None:
    """A dialect is spoken by a provider that has a name."""
    assert {name for row in formats.ROWS for name in row.dialects} <= providers.PROVIDERS
