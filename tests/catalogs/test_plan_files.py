"""Plan files: what is read, and what is refused with line and reason."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pertoken.catalogs.plan_files import CHARGES_MAX, NotAPlan, read_body, read_plan, read_plan_file
from pertoken.core.billing.plans import (
    Graduated,
    Meter,
    PerUnit,
    Plan,
    PlanCharge,
    PlanTier,
    Selector,
    is_decided_by_event,
    needs_cost,
)
from pertoken.core.periods import parse_time

BAD = yaml.safe_load((Path(__file__).parent / "bad_plans.yaml").read_text())
GROWTH = b"""
plan: growth
version: 3
from: 2026-12-01
currency: USD
prepaid: false
charges:
  - name: tokens in
    meter: {unit: input_tokens, where: {model: gpt-4o-mini}}
    model: unit
    price: "0.30"
    per: 1000000
  - name: searches
    meter: {unit: web_searches}
    model: graduated
    tiers: [{up_to: 1000, price: "0.02"}, {price: "0.01", flat: "5"}]
    included: 100
    least: "10"
    most: "500"
"""
PICOS = 10**12


def written(case: dict[str, Any]) -> bytes:
    """Return the file of a case: as it stands, or with one charge that begins in line 5, a field a line."""
    if "file" in case:
        return str(case["file"]).encode()
    fields = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in case["charge"].items())
    return f"plan: p\nversion: 1\ncurrency: USD\ncharges:\n  - name: a\n{fields}".encode()


def test_a_plan() -> None:
    """A plan is what its file says."""
    tiers = (PlanTier(1_000, PerUnit(PICOS // 50)), PlanTier(None, PerUnit(PICOS // 100), 5 * PICOS))
    where = (Selector("model", frozenset({"gpt-4o-mini"})),)
    tokens = PlanCharge("tokens in", PerUnit(3 * PICOS // 10, 10**6), Meter("input_tokens", where=where))
    searches = PlanCharge("searches", Graduated(tiers), Meter("web_searches"), 100, 10 * PICOS, 500 * PICOS)
    plan = Plan("growth", 3, parse_time("2026-12-01"), "USD", (tokens, searches))

    assert read_plan(GROWTH) == plan
    assert [is_decided_by_event(charge) for charge in plan.charges] == [True, False]
    assert not needs_cost(plan)


def test_a_body() -> None:
    """A body is the same plan as its file, which is kept as it was written."""
    found = read_plan_file(GROWTH)

    assert read_body(found.body) == found.plan
    assert found.content == GROWTH.decode()


@pytest.mark.parametrize("case", BAD, ids=[case["says"] for case in BAD])
def test_what_is_wrong(case: dict[str, Any]) -> None:
    """A file that is no plan is refused with its line, the place and the reason."""
    with pytest.raises(NotAPlan) as refused:
        read_plan(written(case))

    assert str(refused.value).startswith(case["says"])


def test_many_charges() -> None:
    """A plan has up to CHARGES_MAX charges."""
    charges = [{"name": f"c{at}", "model": "flat", "price": "1"} for at in range(CHARGES_MAX + 1)]
    fields = {"plan": "p", "version": 1, "currency": "USD"}
    most = yaml.dump({**fields, "charges": charges[1:]}, Dumper=yaml.CSafeDumper)

    assert len(read_plan(most.encode()).charges) == CHARGES_MAX
    with pytest.raises(NotAPlan, match="at most 2,000 charges, not 2,001"):
        read_plan(yaml.dump({**fields, "charges": charges}, Dumper=yaml.CSafeDumper).encode())


def test_names_of_charges_differ() -> None:
    """Two charges of one name would be one line for two things."""
    content = GROWTH.replace(b"name: searches", b"name: tokens in")
    with pytest.raises(
        NotAPlan, match=r"line 13: charges\[1\].name: 'tokens in' is the name of an earlier charge, too"
    ):
        read_plan(content)


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
trees = st.recursive(
    leaves, lambda more: st.lists(more, max_size=3) | st.dictionaries(st.text(max_size=9), more, max_size=3)
)


@given(trees, st.sampled_from(["plan", "version", "currency", "from", "charges", "commitment"]), st.booleans())
def test_whatever_stands_there(tree: object, field: str, in_charge: bool) -> None:
    """Any value anywhere is read or refused."""
    fields: dict[str, Any] = yaml.safe_load(GROWTH)
    if in_charge:
        charge = fields["charges"][1]
        charge[sorted(charge)[len(field) % len(charge)]] = tree
    else:
        fields[field] = tree
    try:
        read_plan(yaml.safe_dump(fields, allow_unicode=True).encode())
    except NotAPlan as error:
        assert "line " in str(error)
