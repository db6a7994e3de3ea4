"""The head of a request: what is written, what is dropped, what is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pertoken.upstream.errors import InvalidRequest
from pertoken.upstream.origin import Origin
from pertoken.upstream.request import request_head, route_to

ROUTE = route_to(Origin("https", "api.test", 443), None)


def test_what_is_written() -> None:
    """The head has the request line, Host, the caller's fields unchanged, and Content-Length, and nothing else."""
    fields = [
        (b"Authorization", b"Bearer x"),
        (b"x-b", b"\xe4 \t,"),
        (b"x-b", b""),
        (b"anthropic-version", b"2023-06-01"),
    ]

    assert request_head(ROUTE, b"POST", b"/v1/messages?beta=true", fields, 12) == (
        b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: api.test\r\nContent-Length: 12\r\n"
        b"Authorization: Bearer x\r\nx-b: \xe4 \t,\r\nx-b: \r\nanthropic-version: 2023-06-01\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "size", "announced"),
    [(b"GET", 0, False), (b"HEAD", 0, False), (b"DELETE", 0, False), (b"DELETE", 3, True), (b"POST", 0, True)],
)
def test_length(method: bytes, size: int, *, announced: bool) -> None:
    """Content-Length is sent if there is a body or if the method implies one."""
    head = request_head(ROUTE, method, b"/", [], size)

    assert (b"Content-Length: %d\r\n" % size in head) == announced


@pytest.mark.parametrize(
    "field",
    [
        (b"Host", b"evil.test"),
        (b"content-length", b"5"),
        (b"Content-Length", b"0"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"close"),
        (b"keep-alive", b"timeout=5"),
        (b"TE", b"trailers"),
        (b"Trailer", b"x"),
        (b"Upgrade", b"websocket"),
        (b"Proxy-Authorization", b"Basic x"),
        (b"proxy-connection", b"keep-alive"),
        (b"Expect", b"100-continue"),
    ],
)
def test_one_hop_only(field: tuple[bytes, bytes]) -> None:
    """Fields that we write ourselves and hop-by-hop fields are dropped, in any case of letters."""
    kept = (b"x-kept", b"1")

    assert request_head(ROUTE, b"POST", b"/", [field, kept], 5) == request_head(ROUTE, b"POST", b"/", [kept], 5)


def test_fields_named_by_connection() -> None:
    """A field that the caller's Connection header names is dropped too."""
    fields = [(b"connection", b"keep-alive, X-Hop"), (b"x-hop", b"1"), (b"x-kept", b"1")]

    assert request_head(ROUTE, b"GET", b"/", fields, 0) == request_head(ROUTE, b"GET", b"/", [(b"x-kept", b"1")], 0)


BAD_NAMES = [
    b"",
    b"a b",
    b"a:b",
    b"a\r\nb",
    b"a\n",
    b"\0",
    b"x\x7f",
    b"caf\xe9",
    b"transfer-encoding: chunked\r\nx",
    b" x",
    b"x\t",
]
BAD_VALUES = [b"a\r\nx: y", b"a\nb", b"a\rb", b"\0", b"a\x0bb", b"\x7f", b"\x1b[0m"]
BAD_TARGETS = [b"", b"v1", b"http://x.test/", b"/a b", b"/a\r\nHost: x", b"/a\tb", b"/\xe4", b"/a#b", b"/\0", b"*"]
BAD_METHODS = [b"", b"GET /x", b"GET\r\n", b"G\xc9T"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(name: bytes) -> None:
    """A header name that is not a token is refused."""
    with pytest.raises(InvalidRequest, match="header name") as caught:
        request_head(ROUTE, b"POST", b"/", [(b"ok", b"1"), (name, b"x")], 0)

    assert repr(name) in str(caught.value)
    assert not caught.value.sent


@pytest.mark.parametrize("value", BAD_VALUES)
def test_bad_values(value: bytes) -> None:
    """A header value with a control character is refused; the message names the header, not the value."""
    with pytest.raises(InvalidRequest, match=r"header value .*b'x-bad'") as caught:
        request_head(ROUTE, b"POST", b"/", [(b"ok", b"1"), (b"x-bad", b"secret" + value)], 0)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("target", BAD_TARGETS)
def test_bad_targets(target: bytes) -> None:
    """A target that is not a printable path is refused."""
    with pytest.raises(InvalidRequest, match="target"):
        request_head(ROUTE, b"POST", target, [], 0)


@pytest.mark.parametrize("method", BAD_METHODS)
def test_bad_methods(method: bytes) -> None:
    """A method that is not a token is refused."""
    with pytest.raises(InvalidRequest, match="method"):
        request_head(ROUTE, method, b"/", [], 0)


@given(st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=12)), max_size=5))
@example([(b"a", b"\r\n"), (b"b", b"")])
def test_no_field_breaks_out(fields: list[tuple[bytes, bytes]]) -> None:
    """With any fields, a head has exactly one line for each and exactly one end."""
    try:
        head = request_head(ROUTE, b"GET", b"/", fields, 0)
    except InvalidRequest:
        return

    lines = head.split(b"\r\n")
    assert lines[-2:] == [b"", b""]
    assert head.count(b"\n") == head.count(b"\r") == len(lines) - 1
    names = [line.partition(b":")[0] for line in lines[2:-2]]
    assert names == [name for name, _ in fields if name in names]
