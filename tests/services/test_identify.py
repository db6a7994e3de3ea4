"""Where a client may show its key, and that it goes no further."""

import pytest

from pertoken.services.call.identify import _read, names_key


@pytest.mark.parametrize("name", ["key", "KEY", "k%65y", "%6B%65%79", "+key", "key+", "%20key"])
def test_a_key_in_the_query_is_found_however_it_is_spelt(name: str) -> None:
    """A parameter that some server reads as `key` is the client's secret: it is read, and kept back."""
    assert names_key(f"{name}=sk-1")
    assert _read((), f"alt=sse&{name}=sk%2D1".encode()).secret == b"sk-1"


@pytest.mark.parametrize("pair", ["keys=1", "k=ey", "monkey=1", "", "=key", "alt=key"])
def test_other_parameters_go_on(pair: str) -> None:
    """Only the parameter that is named so is the key."""
    assert not names_key(pair)
    assert _read((), pair.encode()).secret is None
