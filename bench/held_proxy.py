"""The floor of a durable gateway: the bare proxy that also writes one row before and one row after every call.

Rows that wait are committed together with fsync by a thread, as pertoken does; there is nothing else: no keys, no
budgets, no prices, no usage. What a durable call cannot cost less than in Python on this machine.
"""

import asyncio
import queue
import sqlite3
import sys
import threading
from urllib.parse import urlsplit

import bare_proxy
import uvloop

Waiting = list["asyncio.Future[None]"]


class Commits:
    """Makes rows durable, many at a time."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: Waiting = []
        self.busy = False
        self.jobs: queue.SimpleQueue[Waiting] = queue.SimpleQueue()
        self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self.database.execute(f"PRAGMA {pragma}")
        self.database.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, amount INTEGER, name TEXT)")
        threading.Thread(target=self.run, daemon=True).start()

    def add(self) -> "asyncio.Future[None]":
        """Write a row; the future is done when it is on disk."""
        future = self.loop.create_future()
        self.waiting.append(future)
        if not self.busy:
            self.busy = True
            self.loop.call_soon(self.begin)
        return future

    def begin(self) -> None:
        batch, self.waiting = self.waiting, []
        self.busy = bool(batch)
        if batch:
            self.database.execute("BEGIN IMMEDIATE")
            self.database.executemany("INSERT INTO row (amount, name) VALUES (?, ?)", [(1, "call")] * len(batch))
            self.jobs.put(batch)

    def run(self) -> None:
        while True:
            batch = self.jobs.get()
            self.database.execute("COMMIT")
            self.loop.call_soon_threadsafe(self.done, batch)

    def done(self, batch: Waiting) -> None:
        for future in batch:
            future.set_result(None)
        self.loop.call_soon(self.begin)


class Client(bare_proxy.Client):
    """Asks only when its row is on disk, and answers only when the second one is."""

    commits: Commits

    async def forward(self, data: bytes) -> None:
        await self.commits.add()
        upstream = bare_proxy.POOL.pop() if bare_proxy.POOL else await self.connect()
        answer = Answer(asyncio.get_running_loop().create_future())
        upstream.ask(data, answer)
        body = await answer.whole
        await self.commits.add()
        self.transport.write(body)


class Answer(asyncio.WriteTransport):
    """Takes the provider's answer, which arrives in one piece here."""

    def __init__(self, whole: "asyncio.Future[bytes]") -> None:
        self.whole = whole

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.whole.set_result(bytes(data))


async def main(port: int, provider: str, folder: str) -> None:
    """Serve until ended."""
    parts = urlsplit(provider)
    loop = asyncio.get_running_loop()
    Client.address = (parts.hostname or "", parts.port or 0)
    Client.commits = Commits(f"{folder}/held.db", loop)
    server = await loop.create_server(Client, "127.0.0.1", port, backlog=4_096)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), *sys.argv[2:]))
