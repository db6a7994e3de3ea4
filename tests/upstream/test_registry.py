"""A configured provider sends to a scripted one on a real socket: key, path and query as they arrive."""

import ssl
from typing import Any

import pytest
from tests.upstream.conftest import Run, Serve

from pertoken.core.provider_errors import ErrorKind
from pertoken.ports.provider import ProviderFailed
from pertoken.upstream.http import Client, ClientLimits
from pertoken.upstream.registry import HttpProvider, http_provider

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
KEY_FIELDS = (b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key")


def made(
    port: int, path: str = "/v1", *, limits: ClientLimits | None = None, **more: Any
) -> tuple[HttpProvider, Client]:
    """Return a provider for the scripted one, and the client, which must be closed."""
    client = Client(limits or ClientLimits(), ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    wish: dict[str, Any] = {
        "wire": "openai",
        "auth": "bearer",
        "api_key": "secret",
        "query": {},
        "asks_for_usage": True,
        "cuts_on_hangup": False,
        "output_cap": "max_tokens",
        **more,
    }
    return http_provider("p", base_url=f"http://127.0.0.1:{port}{path}", client=client, **wish), client


def asked(request: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Return the target of a request, and its header fields that can carry a key."""
    head, *lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    fields = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}
    return head.split(b" ")[1], {name: fields[name] for name in KEY_FIELDS if name in fields}


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ("bearer", {b"authorization": b"Bearer secret"}),
        ("x-api-key", {b"x-api-key": b"secret"}),
        ("x-goog-api-key", {b"x-goog-api-key": b"secret"}),
        ("api-key", {b"api-key": b"secret"}),
        ("none", {}),
    ],
)
def test_each_auth_style(run: Run, serve: Serve, auth: str, expected: dict[bytes, bytes]) -> None:
    """The key arrives in the field of its auth style and in no other."""

    async def story() -> None:
        async with serve(HELLO) as upstream:
            provider, client = made(upstream.port, auth=auth)
            answer = await provider.send("/chat/completions", (), b"{}", "m")
            assert await answer.read() == b"hello"
            await client.close()
            assert asked(upstream.requests[0]) == (b"/v1/chat/completions", expected)

    run(story())


def test_no_key_no_field(run: Run, serve: Serve) -> None:
    """Without a key, no field is sent in its place."""

    async def story() -> None:
        async with serve(HELLO) as upstream:
            provider, client = made(upstream.port, api_key=None)
            await (await provider.send("/x", (), b"{}", "m")).read()
            await client.close()
            assert asked(upstream.requests[0])[1] == {}

    run(story())


@pytest.mark.parametrize(
    ("path", "query", "sent", "target"),
    [
        ("/openai/deployments/{model}", {"api-version": "2024-10-21"}, "/chat/completions",
         b"/openai/deployments/my%20model%2F1/chat/completions?api-version=2024-10-21"),
        ("/openai/v1", {}, "/responses", b"/openai/v1/responses"),
        ("/v1", {"a": "b c"}, "/x?alt=sse", b"/v1/x?alt=sse&a=b+c"),
    ],
)  # fmt: skip
def test_paths(run: Run, serve: Serve, path: str, query: dict[str, str], sent: str, target: bytes) -> None:
    """The quoted model replaces the placeholder in the base URL; the provider's query comes after the client's."""

    async def story() -> None:
        async with serve(HELLO) as upstream:
            provider, client = made(upstream.port, path, query=query)
            await (await provider.send(sent, (), b"{}", "my model/1")).read()
            await client.close()
            assert asked(upstream.requests[0])[0] == target

    run(story())


@pytest.mark.parametrize("model", ["..", ".", "../../v1/files", "a/..", "/a", "a//b", ""])
def test_a_model_that_leads_elsewhere(run: Run, serve: Serve, model: str) -> None:
    """A model name that could leave its directory is not put into a path, and nothing is sent."""

    async def story() -> None:
        async with serve(HELLO) as upstream:
            provider, client = made(upstream.port, "/openai/deployments/{model}")
            with pytest.raises(ProviderFailed, match="part of a path") as caught:
                await provider.send("/chat/completions", (), b"{}", model)
            await client.close()
            assert upstream.requests == []
            assert caught.value.kind is ErrorKind.NOT_SENT

    run(story())


@pytest.mark.parametrize(
    ("answered", "kind"), [(b"", ErrorKind.TIMED_OUT), (b"no answer at all\r\n\r\n", ErrorKind.BROKE_OFF)]
)
def test_a_request_that_was_sent_may_be_billed(run: Run, serve: Serve, answered: bytes, kind: ErrorKind) -> None:
    """No answer in time, and an answer that cannot be read, are told apart."""

    async def story() -> None:
        async with serve(answered) as upstream:
            provider, client = made(upstream.port, limits=ClientLimits(first_byte_ms=50))
            with pytest.raises(ProviderFailed) as caught:
                await provider.send("/x", (), b"{}", "m")
            await client.close()
            assert (caught.value.kind, caught.value.may_bill) == (kind, True)

    run(story())


def test_a_provider_that_is_away_bills_nothing(run: Run, unused_port: int) -> None:
    """Without a connection, nothing was sent."""

    async def story() -> None:
        provider, client = made(unused_port)
        with pytest.raises(ProviderFailed) as caught:
            await provider.send("/x", (), b"{}", "m")
        await client.close()
        assert (caught.value.kind, caught.value.may_bill) == (ErrorKind.UNREACHABLE, False)

    run(story())


def test_an_abandoned_answer_closes_its_connection(run: Run, serve: Serve) -> None:
    """A reader of an abandoned answer gets ProviderFailed, and the provider sees the connection close."""

    async def story() -> None:
        async with serve(HALF) as upstream:
            provider, client = made(upstream.port)
            answer = await provider.send("/x", (), b"{}", "m")
            pieces: list[bytes] = []

            def take(piece: bytes) -> bool:
                pieces.append(piece)
                answer.abandon()
                return False

            async def room() -> None:
                pass

            with pytest.raises(ProviderFailed):
                await answer.pour(take, room)
            await upstream.until_closed()
            await client.close()
            assert pieces == [b"hello"]

    run(story())
