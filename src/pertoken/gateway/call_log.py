"""One line on stderr for each call that ended and for each refusal, written on a thread, several at a time.

A call costs the event loop no more than putting its line in a list. It knows no prompt and no answer: they do not reach
it. Lines come in the order in which the calls ended.
"""

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import msgspec

from pertoken.core.budgets import Attribution
from pertoken.core.calls import CallLine
from pertoken.core.events import Event
from pertoken.core.money import format_amount
from pertoken.core.periods import US_PER_SECOND, format_time
from pertoken.core.texts import escaped
from pertoken.gateway.stderr import write

FLUSH_S = 0.1  # how long a line waits for others
LINES_MAX = 50_000  # that wait: where nobody takes the log, the rest is counted and left out
PIECE_BYTES = 4_096  # of one write: so much a pipe takes without mixing it with what other processes write
END_S = 5  # for the last lines, where nobody takes the log

_THOUSANDTHS = tuple(f".{number:03d}Z" for number in range(1_000))
_encode = msgspec.json.Encoder().encode

Form = Callable[[CallLine], bytes]


class CallLog:
    """Takes lines on the event loop and writes them on a thread of its own; `close` it at the end."""

    def __init__(self, form: Form, sink: Callable[[bytes], None] = write) -> None:
        self._form = form
        self._sink = sink
        self._lines: list[CallLine] = []
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None
        self._batches: queue.SimpleQueue[tuple[list[CallLine], int] | None] = queue.SimpleQueue()
        self._writing = threading.Event()
        self._writer = threading.Thread(target=self._run, name="call log", daemon=True)
        self._writer.start()

    def __call__(self, line: CallLine) -> None:
        """Take the line of a call."""
        if len(self._lines) >= LINES_MAX:
            self._left_out += 1
            return
        self._lines.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._hand_over)

    def close(self) -> None:
        """Write what waits, and end. Where nobody takes the log, what is left is lost after a while."""
        if self._timer is not None:
            self._timer.cancel()
        self._batches.put((self._lines, self._left_out))
        self._batches.put(None)
        self._writer.join(END_S)

    def _hand_over(self) -> None:
        """Give the lines to the thread, or wait where it still has the last ones."""
        self._timer = None
        if self._writing.is_set():
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._hand_over)
            return
        self._writing.set()
        self._batches.put((self._lines, self._left_out))
        self._lines, self._left_out = [], 0

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            lines, left_out = batch
            self._write(lines)
            if left_out:
                self._sink(b"%d lines of calls were left out: nobody took the log\n" % left_out)
            self._writing.clear()

    def _write(self, lines: Sequence[CallLine]) -> None:
        """Write lines in pieces that stay whole, and let the event loop run between them."""
        piece: list[bytes] = []
        size = 0
        for line in lines:
            text = self._form(line)
            if size + len(text) > PIECE_BYTES and piece:
                self._sink(b"".join(piece))
                piece, size = [], 0
            piece.append(text)
            size += len(text)
        if piece:
            self._sink(b"".join(piece))


def as_text(line: CallLine) -> bytes:
    """Return a line for people: time, id, status, then name=value where something is known."""
    at_us, call_id, status, http, took_us, of, events, refusal, _ = line
    used = ""
    if events:
        read, made = _tokens(events)
        cost = "+".join([f"{cost}{currency}" for currency, cost in _costs(events)])
        used = f" input_tokens={read} output_tokens={made} cost={cost}"
    why = "" if refusal is None else f" refusal={refusal}"
    who = "" if of is None else _who(of)
    return f"{_time(at_us)} call {call_id} {status} {http}{who}{used} ms={_ms(took_us)}{why}\n".encode()


def as_json(line: CallLine) -> bytes:
    """Return a line as one JSON object; what is not known is null. Most of it is the same for most calls."""
    at_us, call_id, status, http, took_us, of, events, refusal, _ = line
    used = '"input_tokens":null,"output_tokens":null,"cost":null,"currency":null'
    if events:
        read, made = _tokens(events)
        costs = _costs(events)
        currency, cost = costs[0]
        used = f'"input_tokens":{read},"output_tokens":{made},"cost":"{cost}","currency":{_quoted(currency)}'
        if len(costs) > 1:
            used += ',"costs":' + _encode(dict(costs)).decode()
    why = "null" if refusal is None else f'"{refusal}"'
    return (
        f'{{"at":"{_time(at_us)}","level":"INFO","logger":"pertoken.calls","call_id":"{call_id}",{_who_json(of)},'
        f'"status":"{status}","http":{http},{used},"ms":{_ms(took_us)},"refusal":{why}}}\n'
    ).encode()


FORMS: Mapping[str, Form] = {"text": as_text, "json": as_json}


def _tokens(events: Sequence[Event]) -> tuple[int, int]:
    """Return the tokens that all attempts of a call read and made."""
    if len(events) == 1:
        quantities = events[0].quantities
        return quantities.get("input_tokens", 0), quantities.get("output_tokens", 0)
    used = [_tokens((one,)) for one in events]
    return sum(one[0] for one in used), sum(one[1] for one in used)


def _costs(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Return what the attempts of a call cost together, by currency: amounts of two are never added up."""
    if len(events) == 1:
        one = events[0]
        return [(one.currency, format_amount(one.cost_picos, one.currency))]
    sums: dict[str, int] = {}
    for one in events:
        sums[one.currency] = sums.get(one.currency, 0) + one.cost_picos
    return [(currency, format_amount(picos, currency)) for currency, picos in sums.items()]


def _time(at_us: int) -> str:
    seconds = at_us // US_PER_SECOND
    return _second(seconds) + _THOUSANDTHS[(at_us - seconds * US_PER_SECOND) // 1_000]


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return format_time(seconds * US_PER_SECOND).removesuffix("Z")


def _ms(took_us: int) -> int:
    return (took_us + 500) // 1_000


@lru_cache(maxsize=1_024)
def _who(of: Attribution) -> str:
    """Return whose a call is; most calls are of a few."""
    named = (("key", of.key), ("team", of.team), ("customer", of.customer), ("model", of.model))
    return "".join([f" {name}={_word(value)}" for name, value in named if value is not None])


@lru_cache(maxsize=1_024)
def _who_json(of: Attribution | None) -> str:
    known = of or Attribution()
    names = ("key", "team", "customer", "provider", "model")
    return ",".join([f'"{name}":{_quoted(getattr(known, name))}' for name in names])


@lru_cache(maxsize=1_024)
def _quoted(text: str | None) -> str:
    return "null" if text is None else json.dumps(escaped(text), ensure_ascii=False)


def _word(text: str) -> str:
    """Return a value as one word: in quotes where it has blanks, quotes or signs of our own."""
    shown = escaped(text)
    return json.dumps(shown, ensure_ascii=False) if not shown or any(one in shown for one in ' "=\\') else shown
