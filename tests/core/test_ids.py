"""Identifiers sort by time and keep all of their chance."""

from hypothesis import given
from hypothesis import strategies as st

from pertoken.core.ids import new_id, new_secret

BITS = st.integers(0, 2**80 - 1)


@given(st.integers(0, 2**50 - 1), st.integers(1_000, 10**9), BITS, BITS)
def test_later_ids_sort_later(now_us: int, later_us: int, one: int, other: int) -> None:
    """An id of a later millisecond is greater as text, whatever chance says."""
    assert new_id("call", now_us, one) < new_id("call", now_us + later_us, other)


@given(BITS, BITS)
def test_different_chance_is_a_different_id(one: int, other: int) -> None:
    """No bit of chance is lost: 80 bits are 16 characters of 5."""
    assert (new_id("call", 0, one) == new_id("call", 0, other)) == (one == other)


def test_shape() -> None:
    """An id says what it is of, and a secret looks like one."""
    assert new_id("call", 1_700_000_000_000_000, 1) == "call_01hf7yat000000000000000001"
    assert new_secret(0, 160) == "sk-pt-" + "0" * 32
