"""The errors between us and a provider, as one tree. The docstring of each class says when it happens.

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

`sent` matters for money: if it is True, the provider may have received the request and may bill it, so the request must
not be repeated silently.
"""


class UpstreamError(Exception):
    """A transfer with a provider failed.

    `sent` says whether any byte of the request may have reached the provider. `cause` is the underlying error, if any.
    """

    def __init__(self, message: str, *, sent: bool, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.sent = sent
        self.cause = cause
        self.__cause__ = cause


class InvalidRequest(UpstreamError, ValueError):
    """The caller's method, target or headers contain bytes that could change the structure of the request."""


class ClientClosed(UpstreamError):
    """Our side closed the client, or gave up this answer, before the answer was complete."""


class PoolExhausted(UpstreamError):
    """The number of connections to this origin has reached the limit, and all of them are busy."""


class ConnectFailed(UpstreamError):
    """The name did not resolve, or no server accepted the connection."""


class ConnectTimeout(ConnectFailed):
    """Name look-up, connecting, the proxy and the TLS handshake together took longer than the limit."""


class TlsFailed(ConnectFailed):
    """The TLS handshake failed: the certificate was not trusted, or no common protocol was found."""


class ProxyRefused(ConnectFailed):
    """The proxy did not answer CONNECT with success, or its answer is not HTTP."""


class FirstByteTimeout(UpstreamError):
    """The head of the answer was not complete within the limit, counted from the start of the request."""


class IdleTimeout(UpstreamError):
    """In the middle of a body that we were ready to read, the provider sent nothing for longer than the limit."""


class TotalTimeout(UpstreamError):
    """The whole transfer, from the call of `send` to the last byte of the body, took longer than the limit."""


class ConnectionCut(UpstreamError):
    """The connection ended before the answer. `before_head` says whether it ended before the head was complete."""

    def __init__(self, message: str, *, sent: bool, before_head: bool, cause: BaseException | None = None) -> None:
        super().__init__(message, sent=sent, cause=cause)
        self.before_head = before_head


class ProtocolError(UpstreamError):
    """The answer is not unambiguous HTTP/1.1, or its head exceeds the limit."""


class DecodingFailed(UpstreamError):
    """A content-encoded body is corrupt or ends too early."""


class BodyTooLarge(UpstreamError):
    """The body, as sent or decoded, is larger than the reader's limit."""
