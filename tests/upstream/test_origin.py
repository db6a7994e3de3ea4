"""Base URLs, as tables."""

import pytest

from pertoken.upstream.origin import Origin, parse_origin


@pytest.mark.parametrize(
    ("url", "origin", "prefix", "host_field"),
    [
        ("https://api.openai.com", Origin("https", "api.openai.com", 443), "", "api.openai.com"),
        ("https://api.openai.com/v1/", Origin("https", "api.openai.com", 443), "/v1", "api.openai.com"),
        ("HTTP://Localhost:8000", Origin("http", "localhost", 8000), "", "localhost:8000"),
        ("http://localhost:80/a/b", Origin("http", "localhost", 80), "/a/b", "localhost"),
        ("http://x.test:443", Origin("http", "x.test", 443), "", "x.test:443"),
        ("http://[::1]:8000/v1", Origin("http", "::1", 8000), "/v1", "[::1]:8000"),
        ("https://[2001:DB8:0::1]", Origin("https", "2001:db8::1", 443), "", "[2001:db8::1]"),
        ("https://127.0.0.1", Origin("https", "127.0.0.1", 443), "", "127.0.0.1"),
        ("https://münchen.test", Origin("https", "xn--mnchen-3ya.test", 443), "", "xn--mnchen-3ya.test"),
        ("http://my_service:9000", Origin("http", "my_service", 9000), "", "my_service:9000"),
        (
            "https://x.test/openai/deployments/a%20b",
            Origin("https", "x.test", 443),
            "/openai/deployments/a%20b",
            "x.test",
        ),
    ],
)
def test_base_urls(url: str, origin: Origin, prefix: str, host_field: str) -> None:
    """A base URL is split into its origin, the prefix of every target, and the Host header."""
    assert parse_origin(url) == (origin, prefix)
    assert origin.host_field == host_field


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com",
        "ftp://x.test",
        "https://",
        "https:///v1",
        "https://user:secret@x.test",
        "https://x.test/?a=b",
        "https://x.test/#a",
        "https://x.test?",
        "https://x.test:0",
        "https://x.test:65536",
        "https://x.test:port",
        "https://x.test/a b",
        "https://x.test/ü",
        "https://x y.test",
        "https://-x.test",
        "https://x.test\r\nHost: evil",
        "https://[::g]",
    ],
)
def test_not_base_urls(url: str) -> None:
    """Anything but a plain http(s) URL is refused."""
    with pytest.raises(ValueError):  # noqa: PT011 each has its own message; the type is the contract
        parse_origin(url)
