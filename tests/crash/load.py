"""Concurrent clients that make calls through kills, and remember what each of them was told."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.crash.client import Answer, Connection

ASK_AGAIN_S = 0.1
MESSAGES = "tell me about the"
NAMED_S_MAX = 90  # a named call is asked for again until it is answered


@dataclass
class Call:
    """One thing that a client wanted: what it was told about it."""

    marker: str
    stream: bool
    named: bool
    answers: list[Answer] = field(default_factory=list)
    attempts: int = 0
    took_s: float = 0.0  # from the first attempt to the last answer

    @property
    def acknowledged(self) -> Answer | None:
        """The whole and good answer, if there was one."""
        return next((answer for answer in self.answers if answer.is_acknowledged), None)

    @property
    def is_refused(self) -> bool:
        """Whether the last word was a refusal before anything was sent to the provider."""
        return bool(self.answers) and self.answers[-1].whole and self.answers[-1].status in (401, 402, 429)

    @property
    def cost_picos(self) -> int | None:
        """What the client was told it cost."""
        answer = self.acknowledged
        text = None if answer is None else answer.headers.get("x-pertoken-cost")
        return None if text is None else int(Decimal(text).scaleb(12))

    @property
    def usage(self) -> tuple[int, int] | None:
        """What the provider said to the client: tokens in and out."""
        answer = self.acknowledged
        if answer is None:
            return None
        texts = answer.body.split(b"data: ") if self.stream else [answer.body]
        found = [json.loads(text) for text in texts if b'"usage":{' in text]
        usage = found[-1]["usage"]
        return usage["prompt_tokens"], usage["completion_tokens"]


class Load:
    """Clients that call until they are told to stop."""

    def __init__(self, url: str, secrets: list[str], seed: int) -> None:
        self._url = url
        self._secrets = secrets
        self._seed = seed
        self.calls: list[Call] = []
        self.stopping = False
        self.is_hopeless = False  # the gateway will not come back: what has a name is not asked for again either

    async def run(self, clients: int) -> None:
        """Run so many clients at once, until `stopping`."""
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(self._client(number))

    async def _client(self, number: int) -> None:
        dice = random.Random(f"{self._seed}/{number}")
        connection = Connection(self._url)
        made = 0
        while not self.stopping:
            made += 1
            marker = f"{number}-{made}"
            call = Call(marker, stream=dice.random() < 0.5, named=dice.random() < 0.3)
            self.calls.append(call)
            await self.make(connection, call, dice)
            await asyncio.sleep(0 if call.answers else ASK_AGAIN_S)
        connection.close()

    async def make(self, connection: Connection, call: Call, dice: random.Random) -> None:
        """Make one call; ask again for one that has a name until it is answered."""
        headers = {
            "authorization": f"Bearer {dice.choice(self._secrets)}",
            "x-pertoken-conversation": call.marker,
            "x-sim-latency-ms": str(dice.choice((0, 0, 5, 50))),
            "x-sim-chunk-ms": str(dice.choice((0, 0, 2))),
        }
        if call.named:
            headers["x-pertoken-idempotency-key"] = f"name-{self._seed}-{call.marker}"
        body: dict[str, Any] = {
            "model": dice.choice(("gpt-4o-mini", "gpt-4o")),
            "max_tokens": dice.randint(5, 60),
            "messages": [{"role": "user", "content": f"{MESSAGES} {call.marker}"}],
        }
        if call.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        hangs_up = call.stream and not call.named and dice.random() < 0.1
        began_s = time.monotonic()
        deadline = began_s + NAMED_S_MAX
        while True:
            call.attempts += 1
            answer = await connection.post(
                "/v1/chat/completions", headers, body, pieces_max=dice.randint(1, 5) if hangs_up else None
            )
            call.took_s = time.monotonic() - began_s
            if answer is not None:
                call.answers.append(answer)
            if not call.named or call.acknowledged or call.is_refused or self.is_hopeless:
                return
            assert time.monotonic() < deadline, (call.attempts, call.answers[-3:])
            await asyncio.sleep(ASK_AGAIN_S)
