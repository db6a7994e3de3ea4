"""What goes on to a provider: never the secret by which a client is known, wherever it put it."""

import pytest
from tests.services.call.parts import request_of

from pertoken.services.call.forward import _path, answer_headers, request_headers

SECRET = b"sk-pt-a-secret"
SHOWN = (b"authorization", b"Bearer " + SECRET)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"authorization", b"Bearer " + SECRET),
        (b"x-auth-token", SECRET),
        (b"referer", b"http://x/?key=" + SECRET + b"&a=1"),
        (b"x-forwarded-authorization", b"Bearer " + SECRET),
        (b"referer", b"http://x/?a=%73k-pt-a%2Dsecret"),
        (b"referer", b"http://x/?a=%2573k-pt-a-secret"),
        (b"referer", b"http://x/?a=%25%37%33k-pt-a-secret"),
    ],
)
def test_no_header_has_the_secret(name: bytes, value: bytes) -> None:
    """A header with the secret in it is kept back, whatever it is called; the others go on."""
    other = (b"openai-beta", b"x")
    assert request_headers((SHOWN, (name, value), other), SECRET) == (other,)


@pytest.mark.parametrize(
    "name", [b"x-pertoken-user", b"x-pertoken", b"x_pertoken_customer", b"x-pertoken_user", b"x-pertokenuser"]
)
def test_no_header_of_ours(name: bytes) -> None:
    """What is said between a client and us stays there, also under a misspelt name; a provider says nothing as us."""
    other = (b"x-perth", b"1")
    assert request_headers(((name, b"acme"), other), SECRET) == (other,)
    assert answer_headers(((name, b"acme"), other)) == [other]


@pytest.mark.parametrize(
    "pair",
    ["access_token=sk-pt-a-secret", "x=1;key=sk-pt-a-secret", "q=%73k%2Dpt-a-secret", "k%2565y=sk-pt-a-secret",
     "q=%2573k-pt-a-secret", "q=%252573k-pt-a-secret", "q=%25%37%33k-pt-a-secret"],
)  # fmt: skip
def test_no_parameter_has_the_secret(pair: str) -> None:
    """A parameter with the secret in it is kept back, whatever it is called and however it is spelt."""
    assert _path(request_of(), f"alt=sse&{pair}&b=2".encode(), SECRET) == "/chat/completions?alt=sse&b=2"
