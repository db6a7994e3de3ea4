"""The provider of the benchmarks: answers every POST at once with fixed bytes, whole or streamed. Nothing is parsed."""

import asyncio
import json
import sys

import httptools
import uvloop

CHUNKS = 200
USAGE = {"prompt_tokens": 200, "completion_tokens": CHUNKS, "prompt_tokens_details": {"cached_tokens": 50}}
HEAD = {"id": "chatcmpl-1", "model": "gpt-4o-mini-2024-07-18", "service_tier": "default"}


def _whole() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "word " * 50}, "finish_reason": "stop"}
    body = json.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _chunk(value: dict[str, object]) -> bytes:
    data = b"data: " + json.dumps({**HEAD, "object": "chat.completion.chunk", **value}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


WHOLE = _whole()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = _chunk({"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]})
LAST = _chunk({"choices": [], "usage": USAGE}) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection of the thing measured."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.streams = False

    def data_received(self, data: bytes) -> None:
        self.streams = self.streams or b'"stream":true' in data
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self.streams:
            self.streams = False
            self.task = asyncio.ensure_future(self.stream())
        else:
            self.transport.write(WHOLE)

    async def stream(self) -> None:
        self.transport.write(STREAM_HEAD)
        for _ in range(CHUNKS):
            self.transport.write(PIECE)
            await asyncio.sleep(0.001)  # each chunk is a packet of its own, as from a model
        self.transport.write(LAST)


async def main() -> None:
    """Serve on a free port and say which."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", file=sys.stderr, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
