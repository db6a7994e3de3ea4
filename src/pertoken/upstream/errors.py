"""What can go wrong between us and a provider: one tree, one sentence each on when it happens.

    UpstreamError
    +-- InvalidRequest (also a ValueError)
    +-- ClientClosed
    +-- PoolExhausted
    +-- ConnectFailed
    |   +-- ConnectTimeout
    |   +-- TlsFailed
    |   +-- ProxyRefused
    +-- FirstByteTimeout
    +-- IdleTimeout
    +-- TotalTimeout
    +-- ConnectionCut
    +-- ProtocolError
    +-- DecodingFailed
    +-- BodyTooLarge

`sent` decides about money: where it is true, the provider may have seen (and may bill) the request, so nobody may
repeat it silently.
"""


class UpstreamError(Exception):
    """An transfer with a provider did not end well.

    `sent` says whether any byte of the request may have reached the provider, `cause` is the error underneath, if any.
    """

    def __init__(self, message: str, *, sent: bool, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.sent = sent
        self.cause = cause
        self.__cause__ = cause


class InvalidRequest(UpstreamError, ValueError):
    """The caller's method, target or headers hold bytes that could change the shape of the request on the wire."""


class ClientClosed(UpstreamError):
    """Our own side closed the client, or gave up this answer, before the answer was complete."""


class PoolExhausted(UpstreamError):
    """As many connections to this origin are open as the limit allows, and all of them are busy."""


class ConnectFailed(UpstreamError):
    """The name did not resolve, or nobody accepted the connection."""


class ConnectTimeout(ConnectFailed):
    """Name look-up, connecting, the proxy and the TLS handshake together took longer than the limit."""


class TlsFailed(ConnectFailed):
    """The TLS handshake failed: the certificate was not trusted, or no common protocol was found."""


class ProxyRefused(ConnectFailed):
    """The proxy answered CONNECT with anything but success, or with something that is not HTTP."""


class FirstByteTimeout(UpstreamError):
    """The head of the answer was not complete within the limit after the request was handed to the connection."""


class IdleTimeout(UpstreamError):
    """The provider sent nothing for longer than the limit in the middle of a body that we were ready to read."""


class TotalTimeout(UpstreamError):
    """The whole transfer, from the call of `send` to the last byte of the body, took longer than the limit."""


class ConnectionCut(UpstreamError):
    """The connection ended before the answer did; `before_head` says that not even the head had arrived."""

    def __init__(self, message: str, *, sent: bool, before_head: bool, cause: BaseException | None = None) -> None:
        super().__init__(message, sent=sent, cause=cause)
        self.before_head = before_head


class ProtocolError(UpstreamError):
    """The answer is not HTTP/1.1 that can be read in exactly one way, or its head exceeds the limit."""


class DecodingFailed(UpstreamError):
    """A content-encoded body is corrupt or ends too early."""


class BodyTooLarge(UpstreamError):
    """The body, as sent or once decoded, is larger than the limit of who reads it."""
