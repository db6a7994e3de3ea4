"""The provider of the benchmarks: answers every POST at once with fixed bytes, or as the prompt orders.

It must cost little, since it shares a core with the load generator: nothing is parsed but where a request ends.
Each streamed chunk is a packet of its own and says when it was written, so that the reader can tell how long it took.
"""

import asyncio
import json
import re
import sys
import time
from functools import lru_cache
from typing import cast

import httptools
import uvloop

BACKLOG = 4_096
USAGE = {
    "prompt_tokens": 200,
    "completion_tokens": 50,
    "total_tokens": 250,
    "prompt_tokens_details": {"cached_tokens": 50},
}
ORDER = "stream %d chunks, one each %d ms"  # stands in the prompt, which every gateway passes on as it is
LARGE = "give %s %d"  # stands in the prompt, too: which of the large answers, and how large
STAMP = re.compile(rb"t(\d{19}) ")  # of a chunk: nanoseconds of the machine's monotonic clock
STAMP_BYTES = 21

_ORDER = re.compile(rb"stream (\d+) chunks, one each (\d+) ms")
_LARGE = re.compile(rb"give (\w+) (\d+)")
_HEAD = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": "gpt-4o-mini-2024-07-18", "service_tier": "default"}


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "word " * 50}, "finish_reason": "stop"}
    body = json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _chunk(value: dict[str, object]) -> bytes:
    data = b"data: " + json.dumps({**_HEAD, "object": "chat.completion.chunk", **value}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


_WHOLE = _whole()
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CHUNK = _chunk({"choices": [{"index": 0, "delta": {"content": f"t{0:019d} "}, "finish_reason": None}]})
_BEFORE, _AFTER = _CHUNK.split(b"%019d" % 0)
_LAST = _chunk({"choices": [], "usage": USAGE}) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def _sent(kind: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)


@lru_cache(maxsize=4)
def _large(kind: bytes, number: int) -> bytes:
    """Return an answer of so many parts."""
    used = json.dumps(USAGE).encode()
    if kind == b"embeddings":
        vectors = b",".join(b'{"object":"embedding","index":%d,"embedding":[0.25,0.5]}' % at for at in range(number))
        body = b'{"object":"list","model":"text-embedding-3-small","data":[%b],"usage":%b}' % (vectors, used)
    elif kind == b"google":
        body = b'{"embeddings":[%b]}' % b",".join([b'{"values":[0.25,0.5]}'] * number)
    elif kind == b"doubts":
        body = b'{"model":"gpt-4o-mini","x":[%b],"usage":%b}' % (b",".join([b'{"usage":1}'] * number), used)
    elif kind == b"echo":
        tools = b",".join([b'{"type":"function","name":"f","parameters":{"a":{}}}'] * number)
        told = b'{"id":"r","model":"gpt-4o-mini","output":[],"tools":[%b]%b}'
        usage = b',"usage":{"input_tokens":200,"output_tokens":50,"total_tokens":250}'
        says = b'data: {"type":"response.%b","response":%b}\n\n'
        events = says % (b"created", told % (tools, b"")) + says % (b"completed", told % (tools, usage))
        return _sent(b"text/event-stream", events)
    else:
        chunk = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}],"usage":%b}\n\n' % used
        return _sent(b"text/event-stream", chunk * number + b"data: [DONE]\n\n")
    return _sent(b"application/json", body)


class Connection(asyncio.Protocol):
    """One connection of whoever asks."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class
        self.parser = httptools.HttpRequestParser(self)
        self.received = bytearray()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        order = _ORDER.search(self.received) if b"one each" in self.received else None
        large = _LARGE.search(self.received) if b"give " in self.received else None
        self.received = bytearray()
        if large is not None:
            self.transport.write(_large(bytes(large[1]), int(large[2])))
            return
        if order is None:
            self.transport.write(_WHOLE)
            return
        self.left, self.gap_s = int(order[1]), int(order[2]) / 1_000
        self.loop = asyncio.get_running_loop()
        self.next_at = self.loop.time()
        self.transport.write(_STREAM_HEAD)
        self.write_chunk()

    def write_chunk(self) -> None:
        if self.transport.is_closing():
            return
        if not self.left:
            self.transport.write(_LAST)
            return
        self.left -= 1
        self.transport.write(b"%b%019d%b" % (_BEFORE, time.perf_counter_ns(), _AFTER))
        self.next_at += self.gap_s
        self.loop.call_at(self.next_at, self.write_chunk)


async def main(port: int) -> None:
    """Serve until ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
