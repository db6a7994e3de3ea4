"""Where a client may show its key, and that it goes no further."""

import pytest

from pertoken.services.call import identify
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


@pytest.mark.parametrize("text", [b"," * 60_000, b"a=b," * 15_000, b",".join(b"%d=" % at for at in range(9_000))])
def test_a_header_of_tags_without_end(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a header with more tags than any call has, the first are looked at, and the answer says so."""
    looked_at: list[str] = []
    clean = identify._clean

    def counted(value: str) -> str | None:
        looked_at.append(value)
        return clean(value)

    monkeypatch.setattr(identify, "_clean", counted)
    shown = _read(((b"x-pertoken-tags", text),), b"")
    assert len(looked_at) <= 5 * identify.PAIRS_MAX
    assert len(shown.tags) <= identify.PAIRS_MAX
    assert "x-pertoken-tags has more than 200 tags; the others are ignored" in shown.warnings


def test_as_many_tags_as_are_looked_at() -> None:
    """All of them are read, without a warning."""
    text = b",".join(b"%d=x" % at for at in range(identify.PAIRS_MAX))
    shown = _read(((b"x-pertoken-tags", text),), b"")
    assert len(shown.tags) == identify.PAIRS_MAX
    assert shown.warnings == ()
