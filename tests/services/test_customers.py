"""Which reported events are rejected for their customer."""

from collections.abc import Collection

from pertoken.core.budgets import Attribution
from pertoken.core.customers import Customer, Unknown
from pertoken.services.customers import reject_customers
from pertoken.services.ingest import BATCH, RejectedLine, UsageRecord

ACME = Customer("acme", "Acme", "USD", "UTC", 100, begins_at_us=50, closed_at_us=200)
BAD = RejectedLine(7, "invalid_event", "no id")


def record(line: int, at_us: int, customer: str | None) -> UsageRecord:
    """Return a record of a customer."""
    return UsageRecord(line, "events", str(line), at_us, Attribution(customer=customer), {"input_tokens": 1})


def test_records_are_judged_in_order() -> None:
    """A record outside the life of its customer is rejected; all others pass, each in its place."""
    asked: list[set[str]] = []

    def find(named: Collection[str]) -> dict[str, Customer]:
        asked.append(set(named))
        return {"acme": ACME}

    given = [record(1, 60, "acme"), record(2, 49, "acme"), BAD, record(3, 200, "acme"), record(4, 1, None)]
    given.append(record(5, 1, "new"))
    allowed = list(reject_customers(given, find, Unknown.ALLOW))
    refused = list(reject_customers(given, find, Unknown.REFUSE))

    assert [one if isinstance(one, UsageRecord) else (one.line, one.code) for one in allowed] == [
        given[0], (2, "invalid_customer"), (7, "invalid_event"), (3, "invalid_customer"), given[4], given[5],
    ]  # fmt: skip
    assert refused[:5] == allowed[:5]
    assert isinstance(refused[5], RejectedLine)
    assert "'new'" in refused[5].message
    assert asked == [{"acme", "new"}] * 2


def test_customers_are_looked_for_batch_by_batch() -> None:
    """Each batch asks once, and records without a customer do not ask at all."""
    asked: list[int] = []

    def find(named: Collection[str]) -> dict[str, Customer]:
        asked.append(len(named))
        return {}

    many = [record(number, 1, "acme" if number > BATCH else None) for number in range(3 * BATCH)]

    assert list(reject_customers(iter(many), find, Unknown.ALLOW)) == many
    assert asked == [1, 1]
