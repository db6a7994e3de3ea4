"""Writes one line to stderr for each call that ended and for each refusal, on a thread, several lines at a time.

On the event loop, a call costs only an append to a list. The log never contains prompts or answers, because this module
does not get them. Lines are in the order in which the calls ended.
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

FLUSH_S = 0.1  # how long a line waits for other lines
LINES_MAX = 50_000  # waiting lines; if nobody reads the log, further lines are only counted
PIECE_BYTES = 4_096  # of one write; a pipe takes this much without mixing it with the lines of other processes
END_S = 5  # how long `close` waits for the last lines to be written

_THOUSANDTHS = tuple(f".{number:03d}Z" for number in range(1_000))
_encode = msgspec.json.Encoder().encode

LineFormat = Callable[[CallLine], bytes]


class CallLog:
    """Takes lines on the event loop and writes them on its own thread. Call `close` at the end."""

    def __init__(self, form: LineFormat, sink: Callable[[bytes], None] = write) -> None:
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
        """Write the waiting lines and end the thread. Lines that are not written within END_S are lost."""
        if self._timer is not None:
            self._timer.cancel()
        self._batches.put((self._lines, self._left_out))
        self._batches.put(None)
        self._writer.join(END_S)

    def _hand_over(self) -> None:
        """Pass the lines to the thread, or try again later if it is still writing the last ones."""
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
        """Write lines in pieces of up to PIECE_BYTES, if no line is longer. Between pieces, the event loop can run."""
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
    """Return a line for people: time, id, status, then name=value for each known value."""
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
    """Return a line as one JSON object. Unknown values are null."""
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


FORMS: Mapping[str, LineFormat] = {"text": as_text, "json": as_json}


def _tokens(events: Sequence[Event]) -> tuple[int, int]:
    """Return the input and output tokens of all attempts of a call."""
    if len(events) == 1:
        quantities = events[0].quantities
        return quantities.get("input_tokens", 0), quantities.get("output_tokens", 0)
    used = [_tokens((one,)) for one in events]
    return sum(one[0] for one in used), sum(one[1] for one in used)


def _costs(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Return the cost of all attempts of a call, by currency. Amounts in different currencies are never added."""
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
    """Return key, team, customer and model of a call as text. Cached, because most calls belong to a few keys."""
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
    """Return a value as one word, in quotes if it is empty or has a space, a quote, an equals sign or a backslash."""
    shown = escaped(text)
    return json.dumps(shown, ensure_ascii=False) if not shown or any(one in shown for one in ' "=\\') else shown
