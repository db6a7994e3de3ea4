"""Receipts: issued to a customer, and kept. No number is given twice."""

from collections.abc import Sequence
from typing import NamedTuple

RECEIPTS_MAX = 2  # of one customer


class Receipt(NamedTuple):
    """What a customer was given."""

    number: int
    customer: str
    amount_picos: int
    issued_at_us: int


def next_receipt(earlier: Sequence[Receipt], customer: str, amount_picos: int, now_us: int) -> Receipt:
    """Return the receipt that comes after the `earlier` ones of all customers."""
    return Receipt(len(earlier) + 1, customer, amount_picos, now_us)


def are_too_many(receipts: Sequence[Receipt], customer: str) -> bool:
    """Tell whether a customer has more receipts than one may have."""
    return sum(one.customer == customer for one in receipts) > RECEIPTS_MAX
