"""Reads what a client sends with llhttp, within limits: heads, upgrade offers, and bytes that are not a request.

A connection has a state for reading and a state for answering. They change only in `_read` and `_answer`, by the tables
in `states`. `protocol` finds the caller of a request and serves it.
"""

import logging
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pertoken.gateway.exchange import HotExchange
from pertoken.gateway.heads import expects_continue, without_offer
from pertoken.gateway.states import ANSWERING, BEGIN, BUSY, COMING, FREE, IDLE, LINGERING, PARTIAL, READING, after

HEADER_BYTES_MAX = 64 * 1024
HEADERS_MAX = 200
TARGET_BYTES_MAX = 8 * 1024

log = logging.getLogger("pertoken.gateway")


class Incoming(HttpToolsProtocol):
    """The reading half of one client connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reading: str = IDLE
        self.answering: str = FREE
        self._hot: HotExchange | None = None  # the request being read, if it belongs to the data plane
        self._piece_bytes = 0  # of the piece being parsed
        self._quiet_bytes = 0  # received since the piece with the last part of a body, or with the start of the head
        self._small_pieces = 0
        self._began_at = 0.0  # when the request being read began, in loop time

    def on_message_begin(self) -> None:
        """Start to read a request."""
        self._read(BEGIN)
        self.url = b""
        self.headers = []
        self._hot = None
        self._quiet_bytes = self._small_pieces = 0
        self._began_at = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Collect the request target, within TARGET_BYTES_MAX."""
        self.url += url
        if len(self.url) > TARGET_BYTES_MAX:
            self._end(b"414 URI Too Long", "request target too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, within HEADERS_MAX. Their bytes are added up for all of them: a call has many headers."""
        self.headers.append((name.lower(), value))
        if len(self.headers) > HEADERS_MAX:
            self._end_too_large()

    def _check_head(self) -> None:
        """Refuse a complete head above HEADER_BYTES_MAX."""
        if not self._quiet_bytes and self._piece_bytes <= HEADER_BYTES_MAX:
            return  # it came in one piece, which is no larger
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEADER_BYTES_MAX:
            self._end_too_large()

    def _hand_over(self) -> None:
        """Pass a request to uvicorn and build its ASGI scope, which calls do not need. Trailers are no part of it."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url, self.headers = url, headers
        self.expect_100_continue = self.parser.get_http_version() != "1.0" and expects_continue(headers)
        self.scope["headers"] = list(headers)
        super().on_headers_complete()

    def _feed(self, data: bytes | memoryview) -> None:
        """Parse received bytes with llhttp. Refuse bytes that are not a request."""
        self._piece_bytes = len(data)
        self._quiet_bytes += len(data)
        try:
            while data:
                data = self._feed_once(data)
            if self.reading == PARTIAL and self._quiet_bytes > HEADER_BYTES_MAX:
                self._end_too_large()
        except httptools.HttpParserError:
            if self.transport.is_closing() or self.reading == LINGERING:
                return
            log.warning("invalid http request received")
            self._refuse_bytes("Invalid HTTP request received.")

    def _feed_once(self, data: bytes | memoryview) -> bytes | memoryview:
        """Parse up to the next upgrade offer. Parse that head again without the offer, and return the unparsed rest."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self.parser.get_method() == b"CONNECT":
                if not self.transport.is_closing() and self.reading != LINGERING:
                    self._refuse_bytes("CONNECT is not served here.")
                return b""
            head = without_offer(self.parser.get_method(), self.url, self.parser.get_http_version(), self.headers)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            self.parser.feed_data(head)
            return memoryview(data)[offer.args[0] :]
        return b""

    def _end(self, status: bytes, why: str) -> None:
        """Close a connection that exceeds a limit. Answer with `status`, if given, unless an earlier answer is due."""
        if self.transport.is_closing() or self.reading == LINGERING:
            return
        log.warning("%s, connection closed", why)
        if status and self._is_next():
            self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()
        raise httptools.HttpParserCallbackError(why)

    def _end_too_large(self) -> None:
        self._end(b"431 Request Header Fields Too Large", "request headers too large")

    def _refuse_bytes(self, why: str) -> None:
        """Close a connection that did not send HTTP. Answer 400 first, unless an earlier request is unanswered."""
        if self._is_next():
            self.send_400_response(why)
        else:
            self.transport.close()

    def _is_next(self) -> bool:
        """Tell whether an answer written now would belong to the request being read, not to an earlier one."""
        if self.answering != BUSY:
            return True
        cycle = self.cycle
        if isinstance(cycle, HotExchange):
            return cycle.state == COMING
        return not self.pipeline and cycle.more_body and not cycle.response_started

    def _read(self, event: str) -> None:
        self.reading = after(READING, self.reading, event)

    def _answer(self, event: str) -> None:
        self.answering = after(ANSWERING, self.answering, event)
