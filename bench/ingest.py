"""Usage that others report, over HTTP: events a second through `POST /api/v1/events`, a thousand a request, durable."""

import http.client
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from effort import Effort
from peers.pertoken import ADMIN_KEY
from scene import Running, Scene
from tables import Column, Table

EVENTS = 1_000  # of a request
PATH = "/api/v1/events"

COLUMNS = (Column("who"), Column("events a second", "{:,.0f}"), Column("CPU an event", "{:,.1f} us"))


class Taken(NamedTuple):
    """What was taken in, in how much time."""

    events: int
    seconds: float
    cpu_s: float


def measure(scene: Scene, effort: Effort) -> Iterator[Table]:
    """Yield how many events are taken in; peers have nothing of the kind."""
    one = scene.find("pertoken")
    if one is None:
        return
    print("events over HTTP", file=sys.stderr, flush=True)
    numbers = itertools.count()
    with one.awake():
        _post(one, effort.call_s / 2, numbers)
        rounds = [_post(one, effort.call_s, numbers) for _ in range(effort.rounds)]
    rate = statistics.median(taken.events / taken.seconds for taken in rounds)
    cpu_us = statistics.median(taken.cpu_s / taken.events for taken in rounds) * 1e6
    notes = (f"POST {PATH}, {EVENTS:,} events a request, one request after the other; each answer means: on disk",)
    yield Table("usage that others report, over HTTP", COLUMNS, [[one.name, rate, cpu_us]], notes)


def _post(one: Running, seconds: float, numbers: Iterator[int]) -> Taken:
    connection = http.client.HTTPConnection(*one.target.address, timeout=60)
    headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
    taken, took_s, cpu_before = 0, 0.0, one.process.cpu_s()
    while took_s < seconds:
        body = _events(numbers)
        began_at = time.perf_counter()
        connection.request("POST", PATH, body, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        took_s += time.perf_counter() - began_at
        assert answer.get("accepted") == EVENTS, (response.status, answer)
        taken += EVENTS
    connection.close()
    return Taken(taken, took_s, one.process.cpu_s() - cpu_before)


def _events(numbers: Iterator[int]) -> bytes:
    usage = {"input_tokens": 900, "cache_read_tokens": 512, "output_tokens": 90}
    said = {"at": "2026-11-23T12:00:00Z", "provider": "openai", "model": "gpt-4o-mini", "team": "t", "usage": usage}
    return json.dumps([{"id": f"event_{number}", **said} for number in itertools.islice(numbers, EVENTS)]).encode()
