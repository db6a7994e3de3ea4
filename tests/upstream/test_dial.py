"""TLS and proxies on real sockets, on both event loops."""

import asyncio
import contextlib

import pytest
from tests.upstream.conftest import Caller, Certificate, Provider, Run, Serve

from pertoken.upstream.errors import ConnectFailed, ConnectTimeout, ProxyRefused, TlsFailed
from pertoken.upstream.http import Client, ClientLimits, Origin, Proxies
from pertoken.upstream.proxy import Proxy

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def fetch(client: Client, origin: Origin) -> bytes:
    """Send one request and read its answer."""
    return await (await client.send(origin, b"GET", b"/v1/models?x=1", [], b"")).read()


def tls_origin(provider: Provider, host: str = "localhost") -> Origin:
    """Return the origin of a provider with TLS."""
    return Origin("https", host, provider.port)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_tls(run: Run, serve: Serve, certificate: Certificate, host: str) -> None:
    """With a context that trusts the certificate, a request goes over TLS, and the connection is kept."""
    protocols = []

    async def note(caller: Caller) -> None:
        protocols.append(caller.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await caller.write(HELLO)

    async def story() -> None:
        async with serve(note, tls=certificate.server) as provider:
            client = Client(ClientLimits(), ssl_context=certificate.trusting)
            for _ in range(3):
                assert await fetch(client, tls_origin(provider, host)) == b"hello"
            await client.close()
            assert (provider.opened, protocols) == (1, ["http/1.1"] * 3)

    run(story())


def test_untrusted_certificate(run: Run, serve: Serve, certificate: Certificate) -> None:
    """Without a given context the client verifies: it refuses a self-signed certificate and sends nothing."""

    async def story() -> None:
        async with serve(HELLO, tls=certificate.server) as provider:
            client = Client(ClientLimits())
            with pytest.raises(TlsFailed, match=r"(?i)certificate.verify.failed") as caught:
                await fetch(client, tls_origin(provider))
            await client.close()
            assert not caught.value.sent
            assert provider.requests == []

    run(story())


def test_wrong_name(run: Run, serve: Serve, misnamed: Certificate) -> None:
    """A trusted certificate for another name is refused."""

    async def story() -> None:
        async with serve(HELLO, tls=misnamed.server) as provider:
            client = Client(ClientLimits(), ssl_context=misnamed.trusting)
            with pytest.raises(TlsFailed):
                await fetch(client, tls_origin(provider))
            await client.close()
            assert provider.requests == []

    run(story())


def test_tls_to_a_plain_port(run: Run, certificate: Certificate) -> None:
    """A server that does not answer the handshake with TLS causes TlsFailed."""

    async def gibberish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(gibberish, "127.0.0.1", 0)
        client = Client(ClientLimits(), ssl_context=certificate.trusting)
        with pytest.raises(TlsFailed):
            await fetch(client, Origin("https", "127.0.0.1", server.sockets[0].getsockname()[1]))
        await client.close()
        server.close()
        await asyncio.sleep(0.01)

    run(story())


def test_silent_handshake(run: Run, certificate: Certificate) -> None:
    """A server that accepts and never answers the handshake causes a connect timeout."""

    async def story() -> None:
        release = asyncio.Event()

        async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        client = Client(ClientLimits(connect_ms=50), ssl_context=certificate.trusting)
        with pytest.raises(ConnectTimeout):
            await fetch(client, Origin("https", "127.0.0.1", server.sockets[0].getsockname()[1]))
        await client.close()
        release.set()
        server.close()
        await asyncio.sleep(0.02)

    run(story())


class Tunnels:
    """A proxy that opens tunnels, or answers CONNECT with given bytes."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one CONNECT, then copy bytes both ways."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        writer.write(self.answer)
        if b" 200 " in self.answer[:20]:
            host, _, port = head.split()[1].rpartition(b":")
            theirs, ours = await asyncio.open_connection(host.decode(), int(port))
            await asyncio.gather(_copy(reader, ours), _copy(theirs, writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


def test_connect(run: Run, serve: Serve, certificate: Certificate) -> None:
    """An https origin is reached through the proxy's tunnel: TLS inside it, the proxy's credentials outside."""

    async def story() -> None:
        tunnels = Tunnels()
        server = await asyncio.start_server(tunnels.serve, "127.0.0.1", 0)
        proxy = Proxy("127.0.0.1", server.sockets[0].getsockname()[1], b"Basic dTpw")
        async with serve(HELLO, tls=certificate.server) as provider:
            client = Client(ClientLimits(), ssl_context=certificate.trusting, proxies=Proxies(https=proxy))
            for _ in range(2):
                assert await fetch(client, tls_origin(provider)) == b"hello"
            await client.close()
            authority = b"localhost:%d" % provider.port
            assert tunnels.heads == [
                b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic dTpw\r\n\r\n" % (authority, authority)
            ]
            assert provider.requests[0].startswith(b"GET /v1/models?x=1 HTTP/1.1\r\n")
            assert b"roxy" not in provider.requests[0]
        server.close()
        await asyncio.sleep(0.05)

    run(story())


def test_connect_verifies(run: Run, serve: Serve, certificate: Certificate) -> None:
    """The certificate is verified inside a tunnel too."""

    async def story() -> None:
        server = await asyncio.start_server(Tunnels().serve, "127.0.0.1", 0)
        proxies = Proxies(https=Proxy("127.0.0.1", server.sockets[0].getsockname()[1]))
        async with serve(HELLO, tls=certificate.server) as provider:
            client = Client(ClientLimits(), proxies=proxies)
            with pytest.raises(TlsFailed):
                await fetch(client, tls_origin(provider))
            await client.close()
            assert provider.requests == []
        server.close()
        await asyncio.sleep(0.05)

    run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 201",
        b"HTTP/1.1 299 OK\r\n\r\nsurplus",
        b"x" * 40_000,
        b"",
    ],
)
def test_refused_tunnels(run: Run, certificate: Certificate, answer: bytes) -> None:
    """A proxy that does not answer CONNECT with a clean success causes ProxyRefused, and nothing was sent."""

    async def story() -> None:
        server = await asyncio.start_server(Tunnels(answer).serve, "127.0.0.1", 0)
        proxies = Proxies(https=Proxy("127.0.0.1", server.sockets[0].getsockname()[1]))
        client = Client(ClientLimits(), ssl_context=certificate.trusting, proxies=proxies)
        with pytest.raises(ProxyRefused) as caught:
            await fetch(client, Origin("https", "provider.test", 443))
        assert not caught.value.sent
        assert not any(pool.connections for pool in client._pools.values())
        await client.close()
        server.close()
        await asyncio.sleep(0.02)

    run(story())


def test_a_refused_tunnel_is_left(run: Run, certificate: Certificate) -> None:
    """If a proxy refuses and keeps the connection open, we close it."""
    left = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        await reader.read()
        writer.close()
        left.set()

    async def story() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        proxies = Proxies(https=Proxy("127.0.0.1", server.sockets[0].getsockname()[1]))
        client = Client(ClientLimits(), ssl_context=certificate.trusting, proxies=proxies)
        with pytest.raises(ProxyRefused, match="403 Forbidden"):
            await fetch(client, Origin("https", "provider.test", 443))
        async with asyncio.timeout(30):
            await left.wait()
        await client.close()
        server.close()

    run(story())


def test_a_socket_that_fails_at_once_is_left(run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose socket options cannot be set is closed and is not counted any more."""

    def fail(_transport: asyncio.BaseTransport) -> None:
        raise OSError(22, "invalid argument")

    async def story() -> None:
        monkeypatch.setattr("pertoken.upstream.dial._keep_alive", fail)
        async with serve(HELLO) as provider:
            client = Client(ClientLimits())
            with pytest.raises(ConnectFailed, match="invalid argument"):
                await fetch(client, provider.origin)
            await provider.until_closed()
            assert client._pools[provider.origin].connections == 0
            await client.close()

    run(story())


def test_proxy_is_down(run: Run, certificate: Certificate, unused_port: int) -> None:
    """If the proxy is down, the error names it."""

    async def story() -> None:
        proxies = Proxies(https=Proxy("127.0.0.1", unused_port))
        client = Client(ClientLimits(), ssl_context=certificate.trusting, proxies=proxies)
        with pytest.raises(ConnectFailed, match=f"127.0.0.1:{unused_port} \\(proxy\\)"):
            await fetch(client, Origin("https", "provider.test", 443))
        await client.close()

    run(story())


def test_absolute_form(run: Run, serve: Serve, certificate: Certificate) -> None:
    """A request for an http origin goes to the proxy in absolute form, with the proxy's credentials."""

    async def story() -> None:
        async with serve(HELLO) as provider:
            proxies = Proxies(http=Proxy("127.0.0.1", provider.port, b"Basic dTpw"))
            client = Client(ClientLimits(), ssl_context=certificate.trusting, proxies=proxies)
            assert await fetch(client, Origin("http", "models.test", 8080)) == b"hello"
            await client.close()
            assert b"".join(provider.requests) == (
                b"GET http://models.test:8080/v1/models?x=1 HTTP/1.1\r\nHost: models.test:8080\r\n"
                b"Proxy-Authorization: Basic dTpw\r\n\r\n"
            )

    run(story())


def test_ipv6(run: Run) -> None:
    """The client connects to an IPv6 literal, and the Host header has it in brackets."""
    heads = []

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HELLO)
        await reader.read()
        writer.close()

    async def story() -> None:
        try:
            server = await asyncio.start_server(hello, "::1", 0)
        except OSError:
            pytest.skip("this machine has no IPv6")
        port = server.sockets[0].getsockname()[1]
        client = Client(ClientLimits())
        assert await fetch(client, Origin("http", "::1", port)) == b"hello"
        await client.close()
        server.close()
        await asyncio.sleep(0.02)
        assert b"Host: [::1]:%d\r\n" % port in heads[0]

    run(story())
