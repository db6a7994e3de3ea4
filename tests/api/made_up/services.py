"""Issuing receipts."""

from pertoken.core.receipts import Receipt, are_too_many, next_receipt
from pertoken.ports.receipts import Receipts


class TooManyReceipts(Exception):
    """The customer has as many receipts as one may have."""


def issue_receipt(receipts: Receipts, customer: str, amount_picos: int, now_us: int) -> Receipt:
    """Return a new receipt, which is kept. Raises TooManyReceipts after it wrote: the transaction must undo it."""
    issued = next_receipt(receipts.list_all(), customer, amount_picos, now_us)
    receipts.add(issued)
    if are_too_many(receipts.list_all(), customer):
        raise TooManyReceipts(customer)
    return issued
