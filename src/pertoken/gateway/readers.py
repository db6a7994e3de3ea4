"""Parses and counts heavy bodies in separate processes. Each process does one job at a time, in turn between keys.

One process does short jobs and another long jobs, so that a count of one kilobyte does not wait for one of 30 MB. The
first job starts a process. If a process has died, a new process gets the current job once more, because the old one may
have died long before. If the new one dies too, or a job takes too long, that job fails, and the next job starts a new
process.
"""

import asyncio
import io
import logging
import pickle
import socket
import subprocess
import sys
from collections import OrderedDict, deque
from typing import Any, NamedTuple

from pertoken.gateway.reader import FOUND, JOB
from pertoken.ports.readers import NotRead
from pertoken.wire.format import BadRequest

PROGRAM = ("-m", "pertoken.gateway.reader")
READ_S = 30  # the time limit of one job
SHORT_BYTES = 64 * 1024  # parsed in 25 ms at most, usually in less than 1 ms
SENT_AT_ONCE = 256 * 1024

log = logging.getLogger("pertoken.gateway")


class _Job(NamedTuple):
    head: bytes
    body: bytes
    found: "asyncio.Future[Any]"


class Turns:
    """Waiting jobs by key. The keys take turns, one job each."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[_Job]] = OrderedDict()

    def add(self, key_id: str, job: _Job) -> None:
        """Add a job to the queue of its key."""
        self._waiting.setdefault(key_id, deque()).append(job)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return sum(map(len, self._waiting.values()))

    def next(self) -> _Job | None:
        """Return the oldest job of the next key, or None if no job waits."""
        if not self._waiting:
            return None
        key_id, jobs = self._waiting.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self._waiting[key_id] = jobs
        return job


class ReadingProcesses:
    """The readers of one gateway process: one for short bodies, one for long ones."""

    def __init__(self) -> None:
        self.short = ReadingProcess()
        self.long = ReadingProcess()

    async def read(self, key_id: str, work: str, body: bytes, args: tuple[object, ...]) -> Any:
        """Return the result of `work` on a body. Raises BadRequest or NotRead."""
        reader = self.short if len(body) <= SHORT_BYTES else self.long
        return await reader.read(key_id, work, body, args)

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn."""
        return self.short.waiting + self.long.waiting

    async def close(self) -> None:
        """End the processes."""
        await self.short.close()
        await self.long.close()


class ReadingProcess:
    """One reading process and the jobs that wait for it."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._working: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    async def read(self, key_id: str, work: str, body: bytes, args: tuple[object, ...]) -> Any:
        """Return the result of `work` on a body. Raises BadRequest or NotRead."""
        loop = asyncio.get_running_loop()
        job = pickle.dumps((work, args), protocol=pickle.HIGHEST_PROTOCOL)
        found = loop.create_future()
        self._turns.add(key_id, _Job(JOB.pack(len(job), len(body)) + job, body, found))
        if self._working is None:
            self._working = loop.create_task(self._work())
        return await found

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn."""
        return self._turns.waiting

    async def close(self) -> None:
        """End the process."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait((self._working,))
        self._end()

    async def _work(self) -> None:
        try:
            while (job := self._turns.next()) is not None:
                if not job.found.done():  # done: the caller was cancelled
                    await self._do(job, once_more=True)
        finally:
            self._working = None

    async def _do(self, job: _Job, *, once_more: bool) -> None:
        try:
            async with asyncio.timeout(READ_S):
                is_read, found = await self._ask(job)
        except asyncio.CancelledError:
            job.found.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - after any error, the caller must not wait forever
            log.error("a process that reads large bodies failed; starting another: %r", error)  # noqa: TRY400
            self._end()
            if once_more and isinstance(error, (OSError, EOFError)) and not isinstance(error, TimeoutError):
                await self._do(job, once_more=False)
                return
            is_read, found = False, None
        if job.found.done():
            return
        if is_read:
            job.found.set_result(found)
        else:
            failed = NotRead("the process that reads it failed") if found is None else BadRequest(*found)
            job.found.set_exception(failed)

    async def _ask(self, job: _Job) -> tuple[bool, Any]:
        loop = asyncio.get_running_loop()
        if self._socket is None:
            self._start()
        assert self._socket is not None
        await loop.sock_sendall(self._socket, job.head)
        body = memoryview(job.body)
        for at in range(0, len(body), SENT_AT_ONCE):
            await loop.sock_sendall(self._socket, body[at : at + SENT_AT_ONCE])
        size, body_size = FOUND.unpack(await self._receive(FOUND.size))
        found = await self._receive(size)
        bodies = [await self._receive(body_size)] if body_size else []
        answer: tuple[bool, Any] = pickle.loads(found, buffers=bodies)  # noqa: S301 - our own process wrote it
        return answer

    async def _receive(self, size: int) -> bytes:
        """Return `size` bytes, received in pieces: 30 MB at once would stop every other call for 30 ms."""
        assert self._socket is not None
        data = io.BytesIO()
        while left := size - data.tell():
            piece = await asyncio.get_running_loop().sock_recv(self._socket, min(left, SENT_AT_ONCE))
            if not piece:
                raise EOFError("it ended")
            data.write(piece)
        return data.getvalue()

    def _start(self) -> None:
        ours, its = socket.socketpair()
        ours.setblocking(False)
        with its:
            command = [sys.executable, *PROGRAM, str(its.fileno())]
            self._process = subprocess.Popen(command, pass_fds=(its.fileno(),), stdin=subprocess.DEVNULL)  # noqa: S603
        self._socket = ours

    def _end(self) -> None:
        """Kill the process. It keeps no data."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
