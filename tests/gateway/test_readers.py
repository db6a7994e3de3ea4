"""Separate processes read heavy bodies, in turn between keys; if one dies, other jobs are not affected."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pertoken.catalogs import request_fields
from pertoken.core.bounds import family_of
from pertoken.core.facts import RequestFacts
from pertoken.counting import tokenizers
from pertoken.counting.tokenizers import Tokenizers
from pertoken.gateway.readers import SHORT_BYTES, ReadingProcess, ReadingProcesses, Turns, _Job
from pertoken.ports.readers import NotRead
from pertoken.services.call import works
from pertoken.services.call.count import Counts
from pertoken.services.call.heavy import Heavy
from pertoken.services.call.reading import Unread, facts_of, read, read_apart
from pertoken.wire.format import BadRequest, RequestChange

MB = 1024 * 1024
CHAT = "openai.chat"
TABLE = request_fields.read().of(CHAT, "openai")


def chat(*messages: object, **fields: object) -> bytes:
    """Return a chat completion."""
    return json.dumps({"model": "gpt-4o-mini", "messages": messages, **fields}).encode()


def heavy(body: bytes) -> SimpleNamespace:
    """Return a heavy body."""
    return SimpleNamespace(body=body, heavy=Heavy(body, "key_1", 250_000))


def run(story: Callable[[ReadingProcess], Awaitable[Any]]) -> Any:
    """Run a test's coroutine with a reading process, then end the process."""

    async def scene() -> Any:
        readers = ReadingProcess()
        try:
            return await story(readers)
        finally:
            await readers.close()

    return asyncio.run(scene())


def test_it_finds_what_is_found_here() -> None:
    """Each kind of work has the same result in the other process as in this one, also for a body of many megabytes."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 15 * MB}}
    body = chat({"role": "user", "content": [{"type": "text", "text": "look"}, picture]}, max_tokens=5)
    jobs: dict[str, tuple[object, ...]] = {
        "facts_of": (CHAT, None, 250_000),
        "sizes_of": (CHAT, family_of("gpt-4o-mini"), 128_000, "gpt-4o-mini"),
        "counts_of": (CHAT, family_of("gpt-4o-mini")),
        "choices_of": (TABLE, (), b"", "gpt-4o-mini", False),
        "rewritten": (CHAT, RequestChange(output_max=3)),
    }

    async def story(readers: ReadingProcess) -> dict[str, object]:
        return {work: await readers.read("key_1", work, body, args) for work, args in jobs.items()}

    found = run(story)
    assert found == {work: works.do(work, body, args, Tokenizers()) for work, args in jobs.items()}
    assert isinstance(found["facts_of"], RequestFacts)
    assert isinstance(found["counts_of"], Counts)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{" * 20_000, "more than 10000 values"),
        (chat(*[{}] * 20_000), "more than 10000 values"),
        (b'{"model": 7' + b" " * MB + b"}", "model"),
        (b"no json" + b" " * MB, "not valid json"),
    ],
)
def test_it_says_what_is_wrong(body: bytes, said: str) -> None:
    """An invalid body gives the same error as if it were read here, and a body with too many values is not parsed."""

    async def story(readers: ReadingProcess) -> None:
        with pytest.raises(BadRequest, match=said):
            await readers.read("key_1", "facts_of", body, (CHAT, None, 10_000))

    run(story)


def test_a_process_that_died() -> None:
    """If the process is dead when a body comes, a new process reads it, and the caller does not notice."""
    body = chat({"role": "user", "content": "x" * MB})

    async def story(readers: ReadingProcess) -> None:
        facts = await readers.read("key_1", "facts_of", body, (CHAT, None, 250_000))
        assert readers._process is not None
        first = readers._process.pid
        os.kill(first, signal.SIGKILL)
        assert await readers.read("key_1", "facts_of", body, (CHAT, None, 250_000)) == facts
        assert readers._process.pid != first

    run(story)


def test_a_body_that_kills_who_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that kills its reader kills only two processes; its caller gets an error, and the next body is read."""
    body = chat({"role": "user", "content": "x" * MB})
    killed: list[int] = []
    start = ReadingProcess._start

    def start_and_kill(readers: ReadingProcess) -> None:
        start(readers)
        assert readers._process is not None
        if len(killed) < 2:
            killed.append(readers._process.pid)
            os.kill(readers._process.pid, signal.SIGKILL)

    monkeypatch.setattr(ReadingProcess, "_start", start_and_kill)

    async def story(readers: ReadingProcess) -> None:
        with pytest.raises(NotRead):
            await readers.read("key_1", "facts_of", body, (CHAT, None, 250_000))
        assert len(killed) == 2
        assert await readers.read("key_1", "facts_of", body, (CHAT, None, 250_000))

    run(story)


def test_a_mistake_in_reading_ends_one_job() -> None:
    """An unexpected error in one job does not affect other jobs."""
    body = chat({"role": "user", "content": "x"})

    async def story(readers: ReadingProcess) -> None:
        with pytest.raises(NotRead):
            await readers.read("key_1", "facts_of", body, ("no such format", None, None))
        assert await readers.read("key_1", "facts_of", body, (CHAT, None, 250_000))

    run(story)


def test_an_answer_that_this_process_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the reader's answer cannot be decoded, as after an upgrade under a running gateway, no call waits forever.

    The current job fails, and the jobs after it are done.
    """
    body = chat({"role": "user", "content": "x"})
    ask, asked = ReadingProcess._ask, []

    async def ask_another_version(readers: ReadingProcess, job: _Job) -> tuple[bool, Any]:
        asked.append(job)
        if len(asked) == 1:
            raise AttributeError("no attribute 'RequestFacts' in its version")
        return await ask(readers, job)

    monkeypatch.setattr(ReadingProcess, "_ask", ask_another_version)

    async def story(readers: ReadingProcess) -> None:
        args = (CHAT, None, 250_000)
        async with asyncio.timeout(60):
            first, second = await asyncio.gather(
                *(readers.read("key_1", "facts_of", body, args) for _ in range(2)), return_exceptions=True
            )
        assert isinstance(first, NotRead)
        assert isinstance(second, RequestFacts)

    run(story)


def test_no_process_without_need() -> None:
    """The process is started for the first heavy body, not before."""

    async def story(readers: ReadingProcess) -> None:
        assert readers._process is None

    run(story)


def test_keys_take_turns() -> None:
    """Keys take turns, however many jobs one has; each key's jobs stay in order, and the waiting jobs are counted."""

    async def scene() -> list[bytes]:
        turns = Turns()
        loop = asyncio.get_running_loop()
        given = ["a1", "a2", "a3", "a4", "b1", "b2", "c1"]
        for name in given:
            turns.add(name[0], _Job(name.encode(), b"", loop.create_future()))
        taken = []
        assert turns.waiting == len(given)
        while (job := turns.next()) is not None:
            taken.append(job.head)
            assert turns.waiting == len(given) - len(taken)
        return taken

    assert asyncio.run(scene()) == [b"a1", b"b1", b"c1", b"a2", b"b2", b"a3", b"a4"]


def test_a_heavy_body_is_not_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that needs a heavy body stops until another process has read it, and never reads it itself."""
    expected = chat({"role": "user", "content": "x"})
    source = heavy(expected)
    facts = facts_of(expected, CHAT, None, None)
    monkeypatch.setattr("pertoken.wire.formats.SERVED", {})

    class Readers:
        async def read(self, key_id: str, work: str, body: bytes, args: tuple[object, ...]) -> Any:
            assert (key_id, work, body, args) == ("key_1", "facts_of", expected, (CHAT, None, None))
            return facts

    with pytest.raises(Unread) as unread:
        read(facts_of, source, CHAT, None, None)
    assert asyncio.run(read_apart(unread.value, Readers())) is None
    assert read(facts_of, source, CHAT, None, None) == facts


def test_what_is_wrong_is_remembered() -> None:
    """An invalid heavy body is refused again without being read again."""
    source = heavy(b"{}")

    class Readers:
        async def read(self, *_: object) -> Any:
            raise BadRequest("wrong", "model")

    with pytest.raises(Unread) as unread:
        read(facts_of, source, CHAT, None, None)
    assert asyncio.run(read_apart(unread.value, Readers())) is None
    with pytest.raises(BadRequest, match="wrong"):
        read(facts_of, source, CHAT, None, None)


def test_a_body_that_cannot_be_read_now() -> None:
    """If the reading process failed, the client is told to retry."""
    source = heavy(b"{}")

    class Readers:
        async def read(self, *_: object) -> Any:
            raise NotRead("it failed")

    with pytest.raises(Unread) as unread:
        read(facts_of, source, CHAT, None, None)
    refusal = asyncio.run(read_apart(unread.value, Readers()))
    assert refusal is not None
    assert (refusal.status, refusal.retry_after_s) == (503, 1)


def test_what_is_short_does_not_wait_for_what_is_long() -> None:
    """A short text is counted while another process still counts a long one."""
    args = (family_of("gpt-4o"),)

    async def story() -> None:
        readers = ReadingProcesses()
        try:
            assert await readers.read("key_1", "tokens_of", b"hello " * SHORT_BYTES, args) > SHORT_BYTES
            assert readers.short._process is None
            assert readers.long._process is not None
            os.kill(readers.long._process.pid, signal.SIGSTOP)
            long = asyncio.ensure_future(readers.read("key_1", "tokens_of", b"x" * (SHORT_BYTES + 1), args))
            assert await readers.read("key_1", "tokens_of", b"hello", args) == 1
            assert not long.done()
            os.kill(readers.long._process.pid, signal.SIGCONT)
            assert await long > 1
        finally:
            await readers.close()

    asyncio.run(story())


def test_the_gateway_reads_no_vocabulary() -> None:
    """Counting in another process loads no vocabulary here, which would hold the interpreter for 0.12 s."""
    before = tokenizers._load.cache_info()

    async def story(readers: ReadingProcess) -> int:
        counted = await readers.read("key_1", "tokens_of", b"hello", (family_of("gpt-4o"),))
        assert isinstance(counted, int)
        return counted

    assert run(story) == 1
    assert tokenizers._load.cache_info() == before
