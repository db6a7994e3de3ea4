import pytest

from pertoken.wiring.base_urls import check_base_url


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "http://127.0.0.1:11434"])
def test_a_place_that_can_be_called(url: str) -> None:
    """An http or https address of a host can be called."""
    check_base_url(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "starts with http"),
        ("api.openai.com", "starts with http"),
        ("ftp://host/v1", "starts with http"),
        ("https://", "not a host name"),
        ("https://user:secret@host/v1", "holds no user or password"),
        ("https://host:port", "port"),
    ],
)
def test_a_place_that_cannot_be_called(url: str, why: str) -> None:
    """An address without a scheme that we speak, without a host, or with a secret in it cannot be called."""
    with pytest.raises(ValueError, match=why):
        check_base_url(url)
