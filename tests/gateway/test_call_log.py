"""The log of calls: the content of its lines, and how they are written."""

import asyncio
import json
import threading
from typing import Any

import pytest
from tests.factories import WHO, event, hold

from pertoken.core.calls import CallLine
from pertoken.gateway import call_log
from pertoken.gateway.call_log import FORMS, LINES_MAX, CallLog, as_json, as_text

AT_US = 1_795_000_000_123_456


def line(number: int = 1, **fields: Any) -> CallLine:
    """Return the line of a successful call."""
    charged = event(hold(f"call_{number}"))
    made = CallLine(AT_US, f"call_{number}", "ok", 200, 12_345, WHO, (charged,), None)
    return made._replace(**fields)


def test_a_line_says_who_what_and_how_much() -> None:
    """Both forms have time, id, status, key, model, tokens, cost and duration; unknown values are left out or null."""
    refused = line(attribution=None, events=(), status="refused", http=401, refusal="unknown_key")

    assert as_text(line()).decode() == (
        "2026-11-18T11:06:40.123Z call call_1 ok 200 key=key_1 team=growth model=gpt-4o-mini "
        "input_tokens=10 output_tokens=5 cost=0.005USD ms=12\n"
    )
    assert as_text(refused) == b"2026-11-18T11:06:40.123Z call call_1 refused 401 ms=12 refusal=unknown_key\n"
    said = json.loads(as_json(line()))
    assert said == {
        "at": "2026-11-18T11:06:40.123Z", "level": "INFO", "logger": "pertoken.calls", "call_id": "call_1",
        "key": "key_1", "team": "growth", "customer": None, "provider": "openai", "model": "gpt-4o-mini",
        "status": "ok", "http": 200, "input_tokens": 10, "output_tokens": 5, "cost": "0.005", "currency": "USD",
        "ms": 12, "refusal": None,
    }  # fmt: skip
    assert json.loads(as_json(refused))["cost"] is None


def test_every_charged_attempt_is_in_the_cost() -> None:
    """The line of a call has the cost of all its attempts; amounts in two currencies are not added."""
    first, second = event(hold("call_1"), 10**12), event(hold("call_1.2"), 2 * 10**12)
    foreign = second._replace(currency="EUR")

    assert json.loads(as_json(line(events=(first, second))))["cost"] == "3"
    assert b"cost=1USD+2EUR" in as_text(line(events=(first, foreign)))
    assert json.loads(as_json(line(events=(first, foreign))))["costs"] == {"USD": "1", "EUR": "2"}


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("text", ["a\nb", "a\x1b[2Jb", "a\x9bb", "a\u202eb", "a\u2028b", 'a "b" c=d', "\ud800"])
def test_no_name_breaks_a_line(form: str, text: str) -> None:
    """With any name from a client, a log line stays one line, and all its characters are visible."""
    written = FORMS[form](line(attribution=WHO._replace(customer=text, model=text, team=text)))

    assert written.count(b"\n") == 1
    assert written.decode().rstrip("\n").isprintable()
    if form == "text":
        assert written.count(b" status=") == 0
        assert len(written.split(b" key=")) == 2


def test_a_name_cannot_pose_as_a_field() -> None:
    """A name with spaces, quotes or equals signs is quoted."""
    assert b' customer="x cost=0USD" ' in as_text(line(attribution=WHO._replace(customer="x cost=0USD")))
    assert b' customer="a\\"b" ' in as_text(line(attribution=WHO._replace(customer='a"b')))


def test_lines_are_written_in_order_and_whole() -> None:
    """Lines are in the order of the calls; each write ends at the end of a line and is small enough for a pipe."""
    writes: list[bytes] = []

    async def tell() -> None:
        log = CallLog(as_text, writes.append)
        for number in range(500):
            log(line(number))
        log.close()

    asyncio.run(tell())

    assert [one.split()[2] for one in b"".join(writes).splitlines()] == [b"call_%d" % at for at in range(500)]
    assert len(writes) > 1
    assert all(one.endswith(b"\n") and len(one) <= call_log.PIECE_BYTES for one in writes)


def test_lines_are_written_without_an_end() -> None:
    """Lines are written while the gateway runs, even if no more calls come."""
    written = threading.Event()

    async def tell() -> None:
        log = CallLog(as_text, lambda _: written.set())
        log(line())
        while not written.is_set():
            await asyncio.sleep(0.01)
        log.close()

    asyncio.run(asyncio.wait_for(tell(), 30))


def test_a_log_that_nobody_takes_is_bounded() -> None:
    """While a write blocks, lines wait up to a limit; afterwards the log says how many lines were left out."""
    begun, goes_on = threading.Event(), threading.Event()
    writes: list[bytes] = []

    def slow(data: bytes) -> None:
        begun.set()
        goes_on.wait(30)
        writes.append(data)

    async def tell() -> None:
        log = CallLog(lambda one: one.call_id.encode() + b"\n", slow)
        log(line(0))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        one = line(1)
        for _ in range(LINES_MAX + 7):
            log(one)
        goes_on.set()
        log.close()

    asyncio.run(tell())
    told = b"".join(writes)

    assert told.count(b"call_1\n") == LINES_MAX
    assert told.endswith(b"7 lines of calls were left out: nobody took the log\n")
