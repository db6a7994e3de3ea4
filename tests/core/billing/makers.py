"""Plans and events for tests of billing."""

from typing import Any

import yaml

from pertoken.catalogs.plan_files import read_plan
from pertoken.core.billing.bill import Bill, Totals
from pertoken.core.billing.meters import MeteredUse
from pertoken.core.billing.plans import Plan
from pertoken.core.budgets import Attribution

METER = {"unit": "output_tokens"}


def a_plan(*charges: dict[str, Any], **more: Any) -> Plan:
    """Return a plan with these charges, by way of a file."""
    named = [{"name": f"charge {at}", **_with_meter(one)} for at, one in enumerate(charges)]
    fields = {"plan": "test", "version": 1, "currency": "USD", "charges": named, **more}
    return read_plan(yaml.safe_dump(fields).encode())


def _with_meter(charge: dict[str, Any]) -> dict[str, Any]:
    counts_nothing = charge["model"] == "flat" or "seats" in charge or "meter" in charge
    return charge if counts_nothing else {**charge, "meter": METER}


def used(quantity: int = 0, at_us: int = 0, **more: Any) -> MeteredUse:
    """Return an event with so many output tokens; a name that an attribution has is set there, others in the usage."""
    of = {name: value for name, value in more.items() if name in Attribution._fields}
    quantities = {"output_tokens": quantity, **more.pop("units", {})}
    rest = {name: value for name, value in more.items() if name not in of}
    return MeteredUse(at_us, Attribution(**{"provider": "openai", "model": "gpt-4o", **of}), quantities, **rest)


def billed(plan: Plan, *events: MeteredUse) -> Bill:
    """Return the bill of events."""
    totals = Totals(plan)
    for event in events:
        totals.add(event)
    return totals.bill()
