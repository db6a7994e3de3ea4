"""How long one client can hold up another: bodies that take a parser long, sent again and again beside small calls."""

import asyncio
import contextlib
import json
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from call import MODEL, PATH, Target, message
from effort import Effort
from scene import Running, Scene
from tables import Cell, Column, Table

MB = 1024 * 1024
SENDERS = 4  # connections of the hostile client
PAUSE_S = 0.002  # between two questions of the other
REST_S = 0.5  # between two bodies, for what came before to end

LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
COLUMNS = (
    Column("what one client sends, on four connections"),
    Column("size", "{:.1f} MB"),
    Column("answered", "{}"),
    Column("a second", "{:.1f}"),
    Column("health p50", "{:.1f} ms"),
    Column("health longest", "{:.1f} ms"),
    Column("calls p50", "{:.1f} ms"),
    Column("calls longest", "{:.1f} ms"),
)


def chat(messages: object, **fields: object) -> bytes:
    """Return a chat completion."""
    return json.dumps(
        {"model": MODEL, "messages": messages, "max_tokens": 20, **fields}, separators=(",", ":")
    ).encode()


def _picture(data: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def _said(content: object) -> bytes:
    return chat([{"role": "user", "content": content}])


BODIES: Mapping[str, Callable[[], bytes] | None] = {
    "nothing": None,
    "5,000,000 empty messages": lambda: chat([]).replace(b"[]", b"[" + b"{}," * 5_000_000 + b"{}]"),
    "300,000 tiny pictures": lambda: _said([_picture("")] * 300_000),
    "1,000,000 fields": lambda: chat([], **{f"k{number}": 1 for number in range(10**6)}),
    "1,000,000 levels": lambda: chat([]).replace(b"[]", b"[" * 10**6 + b"]" * 10**6),
    "120,000 empty messages, as many as may be": lambda: chat([]).replace(b"[]", b"[" + b"{}," * 119_999 + b"{}]"),
    "60,000 tiny pictures, as many as may be": lambda: _said([_picture("")] * 60_000),
    "240,000 fields, as many as may be": lambda: chat([], **{f"k{number}": 1 for number in range(240_000)}),
    "a body just not read apart": lambda: chat([]).replace(b"[]", b"[" + b"{}," * 4_900 + b"{}]"),
    "a text": lambda: _said("so it goes, " * (31 * MB // 12)),
    "a picture": lambda: _said([{"type": "text", "text": "look"}, _picture("iVBORw0KGgo" + "A" * 15 * MB)]),
}


def measure(scene: Scene, effort: Effort) -> Iterator[Table]:
    """Yield the table of what another client waits."""
    print("hostile", file=sys.stderr, flush=True)
    rows: list[list[Cell]] = []
    for one in scene.running:
        if one.peer.name != "pertoken":
            continue
        with one.awake():
            for name, body in BODIES.items():
                rows.append([name, *_beside(one, None if body is None else body(), effort.call_s * 2)])
                time.sleep(REST_S)
    yield Table(
        "what another client waits beside a hostile one", COLUMNS, rows, (f"a question each {PAUSE_S * 1000:.0f} ms",)
    )


def _beside(one: Running, body: bytes | None, seconds: float) -> list[Cell]:
    """Return size, status and rate of what the hostile client sends, and the other's latencies."""
    context = multiprocessing.get_context("fork")
    ended, told = context.Event(), context.SimpleQueue()
    senders = [] if body is None else [
        context.Process(target=_send, args=(one.target, body, ended, told), daemon=True) for _ in range(SENDERS)
    ]  # fmt: skip
    for sender in senders:
        sender.start()
    time.sleep(REST_S if senders else 0)
    health, calls = asyncio.run(_ask(one.target, seconds))
    ended.set()
    answers: list[str] = []
    for sender in senders:
        answers += told.get()
        sender.join()
    latencies = [figure * 1000 for found in (health, calls) for figure in (sorted(found)[len(found) // 2], max(found))]
    if body is None:
        return [None, None, None, *latencies]
    said = ", ".join(sorted(set(answers))) or "nothing yet"
    return [len(body) / MB, said, len(answers) / (seconds + REST_S), *latencies]


def _send(target: Target, body: bytes, ended: Any, told: Any) -> None:
    """Send a body again and again, and tell the statuses of the answers."""
    os.nice(5)  # the measuring client's clock shares a core with us
    answers = []
    key = target.headers["authorization"]
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: {key}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    while not ended.is_set():
        with contextlib.suppress(OSError), socket.create_connection(target.address, timeout=30) as connection:
            connection.sendall(head)
            connection.sendall(body)
            answers.append(connection.recv(65_536)[9:12].decode())
    told.put(answers)


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
