"""Which bodies are read apart."""

import pytest

from pertoken.services.call.heavy import BYTES_MAX, VALUES_MAX, Heavy, is_heavy


@pytest.mark.parametrize(
    ("body", "bound", "expected"),
    [
        (b"a" * BYTES_MAX, 0, False),
        (b"a" * (BYTES_MAX + 1), 0, True),
        (b"[" + b"1," * VALUES_MAX + b"1]", VALUES_MAX + 1, True),
        (b'["' + b"a," * VALUES_MAX + b'"]', VALUES_MAX + 1, False),  # the commas of a text are no values
    ],
)
def test_bytes_and_values_make_a_body_heavy(body: bytes, bound: int, expected: bool) -> None:
    """More of either than the event loop has time for."""
    assert is_heavy(body, bound) is expected


def test_another_body_of_a_request_is_as_heavy() -> None:
    """It waits for the same turn, and what was found in it is kept; the same body is itself."""
    heavy = Heavy(b"{}", "key_1", 5)
    other = heavy.like(b"{ }")

    assert heavy.like(heavy.body) is heavy
    assert heavy.like(other.body) is other
    assert (other.body, other.key_id, other.values_max) == (b"{ }", "key_1", 5)
