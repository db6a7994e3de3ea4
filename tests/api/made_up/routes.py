"""Receipts as a resource."""

import msgspec

from pertoken.api.fields import Amount, DecimalText, Instant, PageQuery, Text, page
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.core.money import format_amount, parse_amount
from pertoken.core.periods import format_time
from pertoken.core.receipts import Receipt
from pertoken.ports.store import Opened
from pertoken.services.receipts import TooManyReceipts, issue_receipt


class ReceiptBody(msgspec.Struct, forbid_unknown_fields=True):
    """A receipt to be issued, in US dollars."""

    customer: Text
    amount: DecimalText


class ReceiptAnswer(msgspec.Struct):
    """A receipt."""

    id: int
    customer: str
    amount: Amount
    issued_at: Instant


class ReceiptsAnswer(msgspec.Struct):
    """Receipts, by number."""

    receipts: list[ReceiptAnswer]
    next_cursor: str | None


def list_receipts(opened: Opened, asked: Asked) -> ReceiptsAnswer:
    """Return every receipt."""
    shown, cursor = page(opened.receipts.list_all(), lambda one: (one.number,), asked.query, (int,))
    return ReceiptsAnswer([_answer(one) for one in shown], cursor)


def make_receipt(opened: Opened, asked: Asked) -> ReceiptAnswer:
    """Issue a receipt."""
    body: ReceiptBody = asked.body
    try:
        made = issue_receipt(opened.receipts, body.customer, parse_amount(body.amount, "USD"), asked.now_us)
    except TooManyReceipts as error:
        raise ApiRefused(Problem.INVALID_FIELD, f"too many receipts: {body.customer!r}", "customer") from error
    return _answer(made)


def _answer(receipt: Receipt) -> ReceiptAnswer:
    amount = format_amount(receipt.amount_picos, "USD")
    return ReceiptAnswer(receipt.number, receipt.customer, amount, format_time(receipt.issued_at_us))


ROUTES = (
    Route(
        "GET", "/api/v1/receipts", Action.RECEIPTS_READ, "List receipts.", list_receipts, ReceiptsAnswer, PageQuery,
    ),
    Route(
        "POST", "/api/v1/receipts", Action.RECEIPTS_WRITE, "Issue a receipt.", make_receipt, ReceiptAnswer,
        body=ReceiptBody, status=201,
    ),
)  # fmt: skip
