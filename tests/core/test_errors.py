"""Refusals: every code has a status, and the order of codes is their precedence."""

import pytest

from pertoken.core.errors import STATUS, Code, Refusal


def test_every_code_has_a_status() -> None:
    """No refusal can be answered without a status, and no status stands for a code that is gone."""
    assert set(STATUS) == set(Code)
    assert all(400 <= status <= 599 for status in STATUS.values())


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.NOT_FOUND, 404),
        (Code.REQUEST_TIMEOUT, 408),
        (Code.TOO_LARGE, 413),
        (Code.INVALID_REQUEST, 400),
        (Code.UNKNOWN_KEY, 401),
        (Code.FORBIDDEN, 403),
        (Code.UNKNOWN_MODEL, 404),
        (Code.PRICE_UNKNOWN, 402),
        (Code.PROVIDER_KEY_MISSING, 503),
        (Code.RATE_LIMITED, 429),
        (Code.BUDGET_EXCEEDED, 402),
        (Code.STORE_UNAVAILABLE, 503),
        (Code.PROVIDER_UNREACHABLE, 502),
        (Code.PROVIDER_TIMEOUT, 504),
        (Code.PROVIDER_FAILED, 502),
        (Code.INTERNAL, 500),
    ],
)
def test_the_status_of_a_refusal_is_its_codes(code: Code, status: int) -> None:
    """A client reads from the status whose fault it is and whether asking again can help."""
    assert Refusal(code, "no").status == status


def test_codes_stand_in_their_order_of_precedence() -> None:
    """Who calls is settled before what it costs, what it costs before whether it fits, and that before the provider."""
    order = list(Code)

    assert order.index(Code.UNKNOWN_KEY) < order.index(Code.PRICE_UNKNOWN) < order.index(Code.BUDGET_EXCEEDED)
    assert order.index(Code.RATE_LIMITED) < order.index(Code.BUDGET_EXCEEDED) < order.index(Code.PROVIDER_FAILED)
    assert order[-1] is Code.INTERNAL


def test_a_refusal_is_a_value() -> None:
    """Two refusals for the same reason are equal; what is not said is None, not an empty text."""
    assert Refusal(Code.INTERNAL, "no") == Refusal(Code.INTERNAL, "no", None, None)
    assert not issubclass(Refusal, BaseException)
