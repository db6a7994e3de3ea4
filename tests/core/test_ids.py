"""Identifiers sort by time and keep all of their chance."""

import pytest
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


@pytest.mark.parametrize(("bits", "characters"), [(1, 1), (5, 1), (6, 2), (80, 16), (128, 26), (160, 32), (161, 33)])
def test_a_secret_is_as_long_as_its_chance(bits: int, characters: int) -> None:
    """Every 5 bits, or part of 5, is one character; the greatest number of them still fits."""
    smallest, greatest = new_secret(0, bits), new_secret(2**bits - 1, bits)

    assert len(smallest) == len(greatest) == len("sk-pt-") + characters
    assert smallest != greatest


@given(st.integers(0, 2**160 - 1), st.integers(0, 2**160 - 1))
def test_different_chance_is_a_different_secret(one: int, other: int) -> None:
    """No bit of a secret's chance is lost."""
    assert (new_secret(one, 160) == new_secret(other, 160)) == (one == other)


@given(st.integers(0, 2**50 - 1), BITS)
def test_an_id_has_no_letter_that_is_read_as_a_digit(now_us: int, random_bits: int) -> None:
    """Ids are read out and typed in: i, l, o and u do not occur, and nothing is upper case."""
    prefix, _, rest = new_id("call", now_us, random_bits).partition("_")

    assert prefix == "call"
    assert len(rest) == 26
    assert not set(rest) & set("ilou")
    assert rest == rest.lower()


@pytest.mark.parametrize("random_bits", [-1, 2**80])
def test_more_chance_than_fits_is_our_mistake(random_bits: int) -> None:
    """Chance that would be cut off, and so could repeat, is never taken."""
    with pytest.raises(AssertionError):
        new_id("call", 0, random_bits)
