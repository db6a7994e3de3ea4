"""Which paths are the data plane's: a model in a path is one plain segment."""

import pytest

from pertoken.wire import routes

PLAIN = ["gemini-3.5-flash", "models-1", "a", "gemini-2.0-flash@001", "x_1~2+b", "m" * 200]
NOT_PLAIN = [
    "", ".", "..", "...", ".hidden", "a/b", "a%2Fb", "a%2fb", "..%2F..%2Ffiles", "%2e%2e", "a%252Fb", "a\\b", "a b",
    "a:b", "a?b", "a#b", "a;b", "a\r\nhost", "a\x00", "\u00e9", "m" * 201,
]  # fmt: skip


@pytest.mark.parametrize("model", PLAIN)
def test_a_plain_model(model: str) -> None:
    """It is the model, and the path goes on to the provider as it came."""
    path = f"/v1beta/models/{model}:countTokens"
    endpoint = routes.find(path)

    assert endpoint is not None
    assert (endpoint.model, endpoint.upstream_path) == (model, path)


@pytest.mark.parametrize("model", NOT_PLAIN)
@pytest.mark.parametrize("verb", ["countTokens", "generateContent", "embedContent"])
def test_a_model_that_is_not_plain(model: str, verb: str) -> None:
    """What could be more than one segment to anybody who decodes it, or lead elsewhere, is no path of ours."""
    assert routes.find(f"/v1beta/models/{model}:{verb}") is None
