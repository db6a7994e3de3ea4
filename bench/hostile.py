"""How long one client can hold up another: bodies that take a parser long, sent again and again beside small calls."""

import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import provider
from call import MODEL, PATH, Target, message
from effort import Effort
from machine import Cores
from peers.pertoken import Pertoken, watch_of
from scene import Running, scene
from tables import Cell, Column, Table
from watched import Watch

MB = 1024 * 1024
SENDERS = 4  # connections of the hostile client
PAUSE_S = 0.002  # between two questions of the other
ROUNDS_MAX = 3
REST_S = 0.5  # between two bodies, for what came before to end

PIECE_BYTES = 100
EMBED = "/v1/embeddings"
GOOGLE = "/v1beta/models/gemini-embedding-001:batchEmbedContents"

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)

LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
COLUMNS = (
    Column("what one client sends, on four connections"),
    Column("size", "{:.1f} MB"),
    Column("answered", "{}"),
    Column("a second", "{:.1f}"),
    Column("loop CPU each", "{:.1f} ms"),
    Column("longest step", "{:.1f} ms"),
    Column("health p50", "{:.1f} ms"),
    Column("health longest", "{:.1f} ms"),
    Column("calls p50", "{:.1f} ms"),
    Column("calls longest", "{:.1f} ms"),
)
EMBEDDING = "text-embedding-3-small"
LIGHT_VALUES = 2_990  # of a body that is read on the event loop


class Case(NamedTuple):
    """What the hostile client sends, again and again."""

    name: str
    body: Callable[[], bytes] | None
    path: str = PATH
    poor: bool = False  # by a key whose budget is nearly used up
    head: bytes = b""  # header fields of its own
    chunked: bool = False  # in pieces that count as small


def chat(messages: object, **fields: object) -> bytes:
    """Return a chat completion."""
    return _json({"model": MODEL, "messages": messages, "max_tokens": 20, **fields})


def embeddings(texts: Sequence[str]) -> bytes:
    """Return a request for embeddings."""
    return _json({"model": EMBEDDING, "input": texts})


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _picture(data: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def _said(content: object) -> bytes:
    return chat([{"role": "user", "content": content}])


def _messages(number: int) -> bytes:
    return chat([]).replace(b"[]", b"[" + b"{}," * (number - 1) + b"{}]")


def _headers(number: int) -> bytes:
    return b"".join(b"x-%d: %b\r\n" % (at, b"v" * 300) for at in range(number))


def _large(kind: str, number: int, **fields: object) -> bytes:
    return chat([{"role": "user", "content": provider.LARGE % (kind, number)}], **fields)


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return {"type": "function", "function": {"name": "f", "parameters": schema}}


def _google(number: int) -> bytes:
    texts = [provider.LARGE % ("google", number), *["a"] * (number - 1)]
    return _json({"requests": [{"content": {"parts": [{"text": text}]}} for text in texts]})


CASES = (
    Case("nothing", None),
    # Requests with much structure.
    Case("5,000,000 empty messages", lambda: _messages(5_000_000)),
    Case("300,000 tiny pictures", lambda: _said([_picture("")] * 300_000)),
    Case("1,000,000 fields", lambda: chat([], **{f"k{number}": 1 for number in range(10**6)})),
    Case("1,000,000 levels", lambda: chat([]).replace(b"[]", b"[" * 10**6 + b"]" * 10**6)),
    Case("120,000 empty messages, all allowed", lambda: _messages(120_000)),
    Case("60,000 tiny pictures, all allowed", lambda: _said([_picture("")] * 60_000)),
    Case("240,000 fields, all allowed", lambda: chat([], **{f"k{number}": 1 for number in range(240_000)})),
    Case("240,000 texts to embed", lambda: embeddings([provider.LARGE % ("embeddings", 10), *["a"] * 239_999]), EMBED),
    Case("20,000 tools", lambda: chat([], tools=[_deep(1)] * 20_000)),
    Case("600 tools, 90 levels each", lambda: chat([], tools=[_deep(90)] * 600)),
    Case("a number of 30,000,000 digits", lambda: chat([], seed=0).replace(b":0", b":" + b"7" * 30_000_000)),
    # Requests that are just light enough to be read on the event loop.
    Case(
        "empty messages, just light", lambda: chat([]).replace(b"[]", b"[" + b"{}," * (LIGHT_VALUES // 2 - 9) + b"{}]")
    ),
    Case("tiny pictures, just light", lambda: _said([_picture("")] * (LIGHT_VALUES // 4 - 4))),
    Case("fields, just light", lambda: chat([], **{f"k{number}": 1 for number in range(LIGHT_VALUES - 9)})),
    Case("quotes, just light", lambda: _said('"' * 260_000)),
    # Large requests of little structure, and what surrounds a request.
    Case("a text", lambda: _said("so it goes, " * (31 * MB // 12))),
    Case("a picture", lambda: _said([{"type": "text", "text": "look"}, _picture("iVBORw0KGgo" + "A" * 15 * MB)])),
    Case("9,000 pieces of a hundred bytes", lambda: _said("so it goes, " * 75_000), chunked=True),
    Case("60 KB of headers", lambda: _said("hi"), head=_headers(190)),
    # What must be counted.
    Case("a text of 900 KB, counted", lambda: _said("so it goes, " * 75_000), poor=True),
    Case("a text of 30 MB, counted", lambda: _said("so it goes, " * (30 * MB // 12)), poor=True),
    Case("240,000 texts to embed, counted", lambda: embeddings(["a"] * 240_000), EMBED, poor=True),
    Case("a text of 60 KB, counted", lambda: _said("so it goes, " * 5_000), poor=True),
    # Answers.
    Case("240,000 embeddings come back", lambda: embeddings([provider.LARGE % ("embeddings", 240_000)]), EMBED),
    Case("30,000 Google embeddings, without usage", lambda: _google(30_000), GOOGLE),
    Case("an answer with 250,000 usage fields", lambda: _large("doubts", 250_000)),
    Case("a stream repeats 80,000 tools, twice", lambda: _large("echo", 80_000, stream=True), "/v1/responses"),
    Case("a stream of 50,000 events at once", lambda: _large("events", 50_000, stream=True)),
)


def measure(effort: Effort, cores: Cores) -> Iterator[Table]:
    """Yield the table of what another client waits."""
    print("hostile", file=sys.stderr, flush=True)
    rounds = min(effort.rounds, ROUNDS_MAX)
    rows: list[list[Cell]] = []
    with scene([Pertoken(watched=True)], cores) as made:
        (one,) = made.running
        watch = Watch(watch_of(one.place))
        with one.awake():
            asked_s = 0.0  # of the loop, for a question of the other client
            for case in CASES:
                seen = [_beside(one, watch, case, effort.call_s) for _ in range(rounds)]
                asked_s = asked_s or seen[0].loop_s / seen[0].questions
                rows.append([case.name, *_summed(seen, asked_s)])
        books = one.peer.close(one.place)
    notes = f"a question each {PAUSE_S * 1000:.0f} ms; medians of {rounds} rounds; afterwards {books}"
    yield Table("what another client waits beside a hostile one", COLUMNS, rows, (notes,))


class Seen(NamedTuple):
    """What one round showed."""

    size: int | None
    statuses: frozenset[str]
    answers: int
    took_s: float
    loop_s: float  # CPU
    questions: int  # of the other client
    figures: tuple[float, ...]  # ms


def _summed(seen: Sequence[Seen], asked_s: float) -> list[Cell]:
    """Return the cells of a row: medians of the rounds."""
    figures = [statistics.median(one.figures[at] for one in seen) for at in range(len(seen[0].figures))]
    if seen[0].size is None:
        return [None, None, None, None, *figures]
    said = ", ".join(sorted(frozenset[str]().union(*(one.statuses for one in seen)))) or "nothing yet"
    answers = sum(one.answers for one in seen)
    loop_s = sum(one.loop_s - one.questions * asked_s for one in seen)
    each = max(0.0, loop_s) / answers * 1000 if answers else None
    return [seen[0].size / MB, said, answers / sum(one.took_s for one in seen), each, *figures]


def _beside(one: Running, watch: Watch, case: Case, seconds: float) -> Seen:
    """Return what is seen while the hostile client sends, and after it: until the gateway has nothing left to do."""
    body = None if case.body is None else case.body()
    context = multiprocessing.get_context("fork")
    ended, told = context.Event(), context.SimpleQueue()
    watch.take_ms()
    loop_s, began = one.process.first_thread_s(), time.perf_counter()
    senders = [] if body is None else [
        context.Process(target=_send, args=(one.target, case, body, ended, told), daemon=True) for _ in range(SENDERS)
    ]  # fmt: skip
    for sender in senders:
        sender.start()
    health, calls = asyncio.run(_ask(one.target, seconds + REST_S))
    ended.set()
    answers: list[str] = []
    for sender in senders:
        answers += told.get()
        sender.join()
    time.sleep(REST_S)
    took_s, loop_s = time.perf_counter() - began, one.process.first_thread_s() - loop_s
    latencies = (figure * 1000 for found in (health, calls) for figure in (sorted(found)[len(found) // 2], max(found)))
    size, questions = None if body is None else len(body), len(health) + len(calls)
    return Seen(size, frozenset(answers), len(answers), took_s, loop_s, questions, (watch.take_ms(), *latencies))


def _send(target: Target, case: Case, body: bytes, ended: Any, told: Any) -> None:
    """Send a body again and again, and tell the statuses of the answers."""
    os.nice(5)  # the measuring client's clock shares a core with us
    answers = []
    key = (target.poor if case.poor else target.headers)["authorization"].encode()
    length = b"transfer-encoding: chunked" if case.chunked else b"content-length: %d" % len(body)
    head = b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\n%b%b\r\n\r\n"
    head %= (case.path.encode(), key, case.head, length)
    if case.chunked:
        pieces = (body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    while not ended.is_set():
        with contextlib.suppress(OSError), socket.create_connection(target.address, timeout=30) as connection:
            connection.sendall(head)
            connection.sendall(body)
            answers.append(_read(connection))
    told.put(answers)


def _read(connection: socket.socket) -> str:
    """Read an answer to its end, as far as that is soon told; return its status."""
    said = connection.recv(65_536)
    status, length = said[9:12].decode(), _LENGTH.search(said)
    left = int(length[1]) - len(said.partition(b"\r\n\r\n")[2]) if length else None
    while said and (left > 0 if left is not None else not said.endswith(b"0\r\n\r\n")):
        said = connection.recv(MB)
        left = left - len(said) if left is not None else None
    return status


async def _ask(target: Target, seconds: float) -> tuple[list[float], list[float]]:
    """Return how long each question for health and each call took."""
    until = time.perf_counter() + seconds
    return tuple(await asyncio.gather(_repeat(target, LIVE, until), _repeat(target, message(target), until)))  # type: ignore[return-value]


async def _repeat(target: Target, question: bytes, until: float) -> list[float]:
    reader, writer = await asyncio.open_connection(*target.address)
    took = []
    while (began := time.perf_counter()) < until:
        writer.write(question)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        took.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_S)
    writer.close()
    return took
