"""The choice of a proxy, as tables."""

import pytest

from pertoken.upstream.origin import parse_origin
from pertoken.upstream.proxy import Proxies, Proxy

PROXY = Proxy("proxy.test", 3128)


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "https://api.openai.com", False),
        ("", "http://localhost:8000", False),
        ("", "http://127.0.0.1", False),
        ("*", "https://api.openai.com", True),
        ("openai.com", "https://openai.com", True),
        ("openai.com", "https://api.openai.com", True),
        ("openai.com", "https://notopenai.com", False),
        ("openai.com", "https://openai.com.evil.test", False),
        (".openai.com", "https://api.openai.com", True),
        (".openai.com", "https://openai.com", True),
        ("*.openai.com", "https://api.openai.com", True),
        ("OpenAI.com", "https://API.openai.COM", True),
        ("openai.com.", "https://api.openai.com", True),
        ("openai.com", "https://api.openai.com.", True),
        ("api.openai.com", "https://openai.com", False),
        ("openai.com:443", "https://api.openai.com", True),
        ("openai.com:8443", "https://api.openai.com", False),
        ("openai.com:8443", "https://api.openai.com:8443", True),
        ("localhost", "http://localhost:8000", True),
        ("127.0.0.1", "http://127.0.0.1:8000", True),
        ("127.0.0.1", "http://127.0.0.11", False),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("127.0.0.1:8001", "http://127.0.0.1:8000", False),
        ("10.0.0.0/8", "http://10.200.3.4", True),
        ("10.0.0.0/8", "http://11.0.0.1", False),
        ("10.0.0.0/8", "http://10.example.com", False),
        ("10.1.2.3/8", "http://10.9.9.9", True),
        ("::1", "http://[::1]:8000", True),
        ("[::1]", "http://[::1]:8000", True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("[::1]:8001", "http://[::1]:8000", False),
        ("fd00::/8", "http://[fd12::1]", True),
        ("fd00::/8", "http://10.0.0.1", False),
        (" a.test ,, b.test c.test ", "http://b.test", True),
        (" a.test ,, b.test c.test ", "http://c.test", True),
        (" a.test ,, b.test c.test ", "http://d.test", False),
    ],
)
def test_no_proxy(no_proxy: str, url: str, *, direct: bool) -> None:
    """NO_PROXY exempts names with their subdomains, addresses, networks and ports, and nothing else."""
    environ = {"http_proxy": "http://proxy.test:3128", "https_proxy": "http://proxy.test:3128", "no_proxy": no_proxy}
    found = Proxies.from_environ(environ).find(parse_origin(url)[0])

    assert found == (None if direct else PROXY)


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": "http://proxy.test:3128"}, PROXY, None),
        ({"HTTPS_PROXY": "http://proxy.test:3128"}, None, PROXY),
        ({"HTTP_PROXY": "http://other.test", "http_proxy": "http://proxy.test:3128"}, PROXY, None),
        ({"HTTPS_PROXY": "", "https_proxy": " "}, None, None),
        ({"https_proxy": "proxy.test:3128"}, None, PROXY),
        ({"https_proxy": "http://proxy.test:3128/"}, None, PROXY),
        ({"https_proxy": "http://proxy.test"}, None, Proxy("proxy.test", 80)),
        ({"https_proxy": "http://[::1]:3128"}, None, Proxy("::1", 3128)),
        ({"https_proxy": "http://u:p@proxy.test:3128"}, None, Proxy("proxy.test", 3128, b"Basic dTpw")),
        ({"https_proxy": "http://u@proxy.test:3128"}, None, Proxy("proxy.test", 3128, b"Basic dTo=")),
        ({"https_proxy": "http://a%40b:p%3Aw@proxy.test:3128"}, None, Proxy("proxy.test", 3128, b"Basic YUBiOnA6dw==")),
    ],
)
def test_environment(environ: dict[str, str], http: Proxy | None, https: Proxy | None) -> None:
    """Each scheme has its own variable, in lower or upper case; user and password become the header's value."""
    assert Proxies.from_environ(environ) == Proxies(http, https)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("https_proxy", "socks5://proxy.test:1080"),
        ("https_proxy", "https://proxy.test:443"),
        ("http_proxy", "http://proxy.test:port"),
        ("http_proxy", "http://:3128"),
        ("http_proxy", "http://pro xy.test"),
    ],
)
def test_not_understood(variable: str, value: str) -> None:
    """An invalid proxy is an error that names the variable; it is never ignored."""
    with pytest.raises(ValueError, match=variable):
        Proxies.from_environ({variable: value})


def test_a_password_stays_out_of_the_message() -> None:
    """The message about a bad proxy does not repeat its password."""
    with pytest.raises(ValueError, match="https_proxy") as caught:
        Proxies.from_environ({"https_proxy": "socks5://user:hunter2@proxy.test:1080"})

    assert "hunter2" not in str(caught.value)


def test_nameless_exemption() -> None:
    """An entry of NO_PROXY without a name is an error."""
    with pytest.raises(ValueError, match="no_proxy"):
        Proxies.from_environ({"no_proxy": ".:80"})
