"""Which paths belong to the data plane: a model in a path is one plain segment."""

import pytest

from pertoken.wire import anthropic_messages, routes

PLAIN = ["gemini-3.5-flash", "models-1", "a", "gemini-2.0-flash@001", "x_1~2+b", "m" * 200]
NOT_PLAIN = [
    "", ".", "..", "...", ".hidden", "a/b", "a%2Fb", "a%2fb", "..%2F..%2Ffiles", "%2e%2e", "a%252Fb", "a\\b", "a b",
    "a:b", "a?b", "a#b", "a;b", "a\r\nhost", "a\x00", "\u00e9", "m" * 201,
]  # fmt: skip


@pytest.mark.parametrize("model", PLAIN)
def test_a_plain_model(model: str) -> None:
    """A plain name is the model, and the path is forwarded unchanged."""
    path = f"/v1beta/models/{model}:countTokens"
    endpoint = routes.find(path)

    assert endpoint is not None
    assert (endpoint.model, endpoint.upstream_path) == (model, path)


@pytest.mark.parametrize("model", NOT_PLAIN)
@pytest.mark.parametrize("verb", ["countTokens", "generateContent", "embedContent"])
def test_a_model_that_is_not_plain(model: str, verb: str) -> None:
    """A name that could be more than one segment after decoding, or lead to another resource, matches no path."""
    assert routes.find(f"/v1beta/models/{model}:{verb}") is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/chat/completions", "/v1/chat/completions? the base URL of this client ends with /v1"),
        ("/models", "/v1/models? the base URL of this client ends with /v1"),
        ("/v1/v1/messages", "/v1/messages? the base URL of this client ends without /v1"),
        ("/v1/v1/v1/responses", "/v1/responses? the base URL of this client ends without /v1"),
        (
            "/v1/v1beta/models/m:countTokens",
            "/v1beta/models/m:countTokens? the base URL of this client ends without /v1",
        ),
        ("/v1/chat/completion", "/v1/chat/completions?"),
        ("/v1/mesages", "/v1/messages?"),
        ("/v1beta/models/m:generatContent", "/v1beta/models/m:generateContent?"),
    ],
)
def test_an_unknown_path_says_what_was_meant(path: str, said: str) -> None:
    """For a base URL with a wrong or missing /v1, or a misspelt path, the error suggests the right path."""
    assert routes.find(path) is None
    assert routes.meant(path) == f"; did you mean {said}"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/v1", "/no/such/path", "/v1/v1/x", "x" * 100_000, "/v1beta/models/m:x"]
)
def test_nothing_is_meant_by_what_is_not_near(path: str) -> None:
    """A path that is not similar to a known one gets no suggestion."""
    assert routes.meant(path) == ""


@pytest.mark.parametrize("path", ["/v1/messages/x", "/v1/v1/messages", "/messages"])
def test_errors_of_unknown_paths_are_in_the_clients_format(path: str) -> None:
    """A client of Anthropic gets errors in its own format, also with a wrong base URL."""
    assert routes.format_for_errors(path) is anthropic_messages
