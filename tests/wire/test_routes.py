"""Which paths are the data plane's: a model in a path is one plain segment."""

import pytest

from pertoken.wire import anthropic_messages, routes

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
    """Whoever has the base URL with or without /v1 where it should not be, or misspells a path, reads the right one."""
    assert routes.find(path) is None
    assert routes.meant(path) == f"; did you mean {said}"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/v1", "/no/such/path", "/v1/v1/x", "x" * 100_000, "/v1beta/models/m:x"]
)
def test_nothing_is_meant_by_what_is_not_near(path: str) -> None:
    """A path that is like none of ours gets no suggestion."""
    assert routes.meant(path) == ""


@pytest.mark.parametrize("path", ["/v1/messages/x", "/v1/v1/messages", "/messages"])
def test_errors_of_unknown_paths_are_in_the_clients_format(path: str) -> None:
    """A client of Anthropic reads its own errors, also below a wrong base URL."""
    assert routes.format_for_errors(path) is anthropic_messages
