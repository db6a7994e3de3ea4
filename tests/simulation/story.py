"""One run from one seed: workers, keys, budgets, calls, faults, crashes; and the proof at its end."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from tests.factories import own
from tests.readers import Here
from tests.simulation.actors import ABSURD, MARK, Client, Provider
from tests.simulation.auditor import Auditor
from tests.simulation.loop import SeededClock, VirtualLoop, run
from tests.simulation.store import Faults, FaultyDatabase, Journal, SimulatedCommitter

from pertoken.catalogs import request_fields
from pertoken.catalogs.limits import ModelLimits
from pertoken.core.budgets import Attribution
from pertoken.core.money import MAJOR_MAX
from pertoken.core.refusals import RefusedCalls
from pertoken.core.secrets import Hasher
from pertoken.core.usage import QUANTITY_MAX
from pertoken.counting.tokenizers import Tokenizers
from pertoken.ports.failures import StoreFailed
from pertoken.ports.ledger import StoreUnavailable
from pertoken.services import budgets, keys
from pertoken.services.ingest import UsageRecord, judge, record
from pertoken.services.offers import Offers
from pertoken.services.serve import serve
from pertoken.services.verify import verify
from pertoken.services.world import Drains, World
from pertoken.simulator.app import Simulator
from pertoken.store.administration import Administration
from pertoken.store.archive import Archive
from pertoken.store.committer import HoldOwner
from pertoken.store.database import Database
from pertoken.wire import routes

HASHER = Hasher(b"the secret key of a simulated world")
READERS = Here(Tokenizers())
RULES = request_fields.read()
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.5-flash"}
FAULTS = (
    "http_500", "http_429", "stall", "cut_midstream", "no_usage", "garbage_usage", "wrong_model", "double_usage",
    "exceed_max_tokens", "slow_first_byte", "close_before_headers",
)  # fmt: skip
ADDED = "new-"  # begins the names of budgets that are added in the run; the time of it follows
HOUR_US = 3_600_000_000
STEPS = ("cap,queue", "cap", "refuse")
WIRES = (("openai", "openai", "/v1"), ("anthropic", "anthropic", ""), ("google", "gemini", ""))
HONEST = {None, "slow_first_byte", "wrong_model", "double_usage"}
AS_HELD = HONEST - {"wrong_model"}  # what another model than was asked for costs, no hold could know
TTL_S = 120
CALL_S = 300
LOOKS_S = 5  # several looks of a committer
JUMPS_EACH = 5  # of so many seeds, one has a machine whose clock is set anew, twice
JUMPS_S = (-86_400, -3_600, -30, 30, 3_600, 86_400)
ABSURD_EACH = 4  # of so many seeds, one has providers and reporters with absurd sizes
ROUNDS_S = TTL_S // 2  # in which a committer puts off the expiry of its holds twice
PATIENT = "SIMULATE_SEEDS" in os.environ  # `make simulate` lets pass all the time that anything may take to end


class Mix(NamedTuple):
    """What one seed makes of a run."""

    workers: int
    calls: int
    spread_s: float
    crashes: int
    changes: int
    hang_ups: float
    faulty: float
    named: float


class Call:
    """One call of one client."""

    def __init__(self, mark: str, client: Client, path: str, fault: str | None, name: str | None) -> None:
        self.mark = mark
        self.client = client
        self.path = path
        self.fault = fault
        self.name = name
        self.crashed = False


class Worker(NamedTuple):
    """One process of the gateway."""

    world: World
    committer: SimulatedCommitter
    tasks: "dict[asyncio.Task[None], Call]"


class Story:
    """A run. `play` it, and read `faults.steps` for how many steps the store took."""

    def __init__(
        self, url: str, seed: int, faults: Faults, prices: dict[str, Fraction], mix: Mix | None = None
    ) -> None:
        self._chance = random.Random(seed)
        self._loop = VirtualLoop()
        self._clock = SeededClock(self._loop, seed)
        self._clean = Database(url, synced=False)  # the observer's own, which never fails
        self._faulty = FaultyDatabase(url, faults)
        self._faults = faults
        self._journal: Journal = []
        self._auditor = Auditor(prices)
        self._audited = 0
        self._checked = -1  # how much of the journal was written when the limits were checked last
        self._app = Simulator()
        self._workers: list[Worker] = []
        self._lives = 0
        self._secrets: list[str] = []
        self._limits: dict[str, int] = {}  # of the budgets of the beginning, the highest that each ever had
        self.calls: list[Call] = []
        self._retries = seed % 3 % 2  # of every third seed, one
        self._absurd = None if seed % ABSURD_EACH else random.Random(-seed)
        self._jumps = None if seed % JUMPS_EACH != 2 else random.Random(f"{seed}/jumps")
        self._owed = tempfile.TemporaryDirectory()
        counts = random.Random(f"{seed}/counts")
        self._percent = {name: counts.choice([100, 100, 250]) for name in MODELS}  # of tokens, as the provider counts
        one = self._chance
        self.mix = mix or Mix(
            one.choice([1, 1, 2, 3]), one.randint(10, 40), one.choice([2.0, 60.0, 900.0]), one.choice([0, 0, 1, 3]),
            one.choice([0, 0, 4, 10]), one.choice([0, 0.1, 0.4]), one.choice([0, 0.2, 0.6]), one.choice([0, 0.3]),
        )  # fmt: skip

    def play(self) -> None:
        """Run the story and prove its end."""
        try:
            run(self._loop, self._scene())
        finally:
            self._clean.close()
            self._faulty.close()
            self._owed.cleanup()

    async def _scene(self) -> None:
        self._prepare()
        for _ in range(self.mix.workers):
            await self._start()
        watcher = asyncio.create_task(self._watch())
        actors = [asyncio.create_task(self._call(number)) for number in range(self.mix.calls)]
        actors += [asyncio.create_task(self._change()) for _ in range(self.mix.changes)]
        actors += [asyncio.create_task(self._crash()) for _ in range(self.mix.crashes)]
        actors += [asyncio.create_task(self._report(self._absurd)) for _ in range(4) if self._absurd is not None]
        actors += [asyncio.create_task(self._jump(self._jumps)) for _ in range(2) if self._jumps is not None]
        await asyncio.gather(*actors)
        await asyncio.gather(*(task for one in self._workers for task in one.tasks), return_exceptions=True)
        self._faults.on = False
        self._clock.ahead_s = self._clock.furthest_s  # holds end by the clock that they were made by
        await self._calm_down()
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        self._prove()
        for worker in self._workers:
            worker.committer.die()

    async def _calm_down(self) -> None:
        """Let time pass until the last hold has ended and the last settlement is paid, and then some more.

        More is two rounds of what the committers do again and again, or, where a store was made to fail at one of many
        steps, a few of their looks.
        """
        end_s = self._loop.time() + TTL_S + CALL_S + 30
        while self._loop.time() < end_s:
            await asyncio.sleep(LOOKS_S)
            if self._is_calm() and not PATIENT:
                await asyncio.sleep(LOOKS_S if self._faults.met else ROUNDS_S)
                return

    def _is_calm(self) -> bool:
        with self._clean.read() as connection:
            is_held = bool(Archive(connection).open_holds())
        return not is_held and not any(worker.committer.owes for worker in self._workers)

    # -- what happens ------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        chance = self._chance
        with self._clean.write() as connection:
            administration = Administration(connection)
            for team in ("red", "blue", "red"):
                made = keys.create_key(administration, self._clock, HASHER, f"key-{len(self._secrets)}", team=team)
                self._secrets.append(made.secret)
            for team, customer in itertools.product(("red", "blue"), ("acme", "zeta")):
                administration.share(customer, team)
            wishes = [
                budgets.Wish("all", str(chance.choice([0.002, 0.02, 1])), window=chance.choice(["total", "minute"])),
                budgets.Wish("red", "0.01", scope={"team": "red"}, window="day", steps=chance.choice(STEPS)),
                budgets.Wish("tokens", str(chance.choice([3_000, 60_000])), axis="tokens", window="hour", each="key"),
                budgets.Wish("rate", str(chance.choice([3, 20])), axis="requests", window="minute", each="team"),
                budgets.Wish("busy", str(chance.choice([2, 8])), axis="concurrent", window="total"),
                budgets.Wish("watch", "0.0001", mode="soft", window="total", each="customer"),
            ]
            for wish in chance.sample(wishes, chance.randint(1, len(wishes))):
                made_budget = budgets.set_budget(administration, self._clock, wish)
                self._limits[made_budget.budget_id] = made_budget.limit
        self._note_budgets()

    async def _start(self) -> None:
        """Start a worker; one that cannot start is started again, as its parent would."""
        self._lives += 1
        owner = HoldOwner(f"worker-{self._lives}", TTL_S * 1_000_000, CALL_S * 1_000_000)
        committer = SimulatedCommitter(
            self._faulty, self._clock.now_us, owner, self._journal, self._chance, Path(self._owed.name)
        )
        while True:
            try:
                committer.start(self._loop)
                break
            except StoreFailed:
                await asyncio.sleep(1)
        cuts = self._chance.random() < 0.3
        providers = {name: Provider(name, wire, prefix, self._app, cuts=cuts) for name, wire, prefix in WIRES}
        world = World(
            ledger=committer, clock=self._clock, hasher=HASHER, readers=READERS, providers=providers,
            offers=Offers(committer, providers, {}, ModelLimits(), RULES.served), rules=RULES, owner=owner.name,
            drains=Drains(self._chance.choice([1, 100])), hold_ttl_us=owner.ttl_us,
            census=committer.census, refused=RefusedCalls(),
            retries=self._retries, queue_us=self._chance.choice([0, 0, 1_000_000]),
        )  # fmt: skip
        self._workers.append(Worker(world, committer, {}))

    async def _call(self, number: int) -> None:
        chance = self._chance
        wait_s = chance.uniform(0, self.mix.spread_s)
        fault = chance.choice(FAULTS) if chance.random() < self.mix.faulty else None
        name = f"name-{chance.randint(0, 5)}" if chance.random() < self.mix.named else None
        hangs_up_s = chance.expovariate(0.5) if chance.random() < self.mix.hang_ups else None
        mark = f"call-{number}"
        path, body = self._request(name)
        headers = [
            (b"authorization", f"Bearer {chance.choice(self._secrets)}".encode()),
            (b"x-pertoken-conversation", mark.encode()),
            (b"x-pertoken-customer", chance.choice([b"acme", b"zeta"])),
            (MARK, mark.encode()),
            (b"x-sim-latency-ms", str(chance.choice([0, 50, 3_000])).encode()),
            (b"x-sim-chunk-ms", str(chance.choice([0, 20, 400])).encode()),
            (b"x-sim-output-tokens", str(chance.choice([5, 60, 700])).encode()),
            (b"x-sim-count-percent", str(self._percent[_provider(path)]).encode()),
        ]
        headers += [(b"x-sim-fault", fault.encode())] if fault else []
        if self._absurd is not None and self._absurd.random() < 0.3:
            headers, fault = [*headers, (ABSURD, b"1")], "absurd_usage"
        headers += [(b"x-pertoken-idempotency-key", name.encode())] if name else []
        client = Client(headers, body, chance, slow=chance.random() < 0.2)
        call = Call(mark, client, path, fault, name)
        await asyncio.sleep(wait_s)
        while not self._workers:
            await asyncio.sleep(0.5)
        worker = chance.choice(self._workers)
        endpoint = routes.find(path)
        assert endpoint is not None
        self.calls.append(call)
        task = asyncio.create_task(serve(client, endpoint, worker.world))
        worker.tasks[task] = call
        if hangs_up_s is not None:
            self._loop.call_later(hangs_up_s, client.hang_up)
        await asyncio.wait([task])
        if not task.cancelled():
            assert task.exception() is None, task.exception()
            assert client.gone or client.status is not None, "a client was left without an answer"

    def _request(self, name: str | None) -> tuple[str, bytes]:
        chance = self._chance
        provider, stream = chance.choice(list(MODELS)), chance.random() < 0.6
        text = (
            f"about {name}" if name else "a b " * chance.choice([3, 50, 900])
        )  # tokens as the simulator counts, or more
        cap = chance.choice([10, 100, 800, None])
        messages = [{"role": "user", "content": text}]
        if provider == "google":
            verb = "streamGenerateContent" if stream else "generateContent"
            config = {} if cap is None else {"generationConfig": {"maxOutputTokens": cap}}
            content: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": text}]}], **config}
            return f"/v1beta/models/{MODELS[provider]}:{verb}", json.dumps(content).encode()
        request: dict[str, Any] = {"model": MODELS[provider], "messages": messages, "stream": stream}
        if provider == "anthropic":
            return "/v1/messages", json.dumps({**request, "max_tokens": cap or 300}).encode()
        return "/v1/chat/completions", json.dumps(request if cap is None else {**request, "max_tokens": cap}).encode()

    async def _change(self) -> None:
        """An administrator changes something while calls run."""
        chance = self._chance
        await asyncio.sleep(chance.uniform(0, self.mix.spread_s))
        with self._clean.write() as connection:
            administration = Administration(connection)
            now = administration.budgets()
            what = chance.choice(["limit", "limit", "remove", "add", "revoke"])
            if what == "limit" and now:
                one = chance.choice(now)
                changed = one._replace(limit=max(1, int(one.limit * chance.choice([0.3, 1, 4]))))
                administration.change_budget(changed)
                if one.budget_id in self._limits:
                    self._limits[one.budget_id] = max(self._limits[one.budget_id], changed.limit)
            elif what == "remove" and now:
                administration.remove_budget(chance.choice(now).budget_id, self._clock.now_us())
            elif what == "add":
                each = chance.choice(["key", None])
                wish = budgets.Wish(f"{ADDED}{self._clock.now_us()}", "0.05", window="hour", each=each)
                budgets.set_budget(administration, self._clock, wish)
            elif what == "revoke" and len(self._secrets) > 1:
                found = administration.list_keys()[len(self._secrets) - 1]
                administration.revoke_key(found.key_id, self._clock.now_us())
        self._note_budgets()

    async def _report(self, chance: random.Random) -> None:
        """Somebody reports as much usage as can be written down, of which the operator allows some, or all."""
        await asyncio.sleep(chance.uniform(0, self.mix.spread_s))
        while not self._workers:
            await asyncio.sleep(0.5)
        committer = chance.choice(self._workers).committer
        quantities = {unit: chance.choice([1, QUANTITY_MAX]) for unit in ("input_tokens", "output_tokens")}
        who, now_us = Attribution(team="red", provider="openai", model=MODELS["openai"]), self._clock.now_us()
        records = [
            UsageRecord(line, "team:red", f"{now_us}-{line}", now_us, who, quantities)
            for line in range(chance.choice([1, 70, 70]))
        ]
        events, _ = judge(records, committer.prices, now_us, chance.choice(["100", str(MAJOR_MAX), str(MAJOR_MAX)]))
        with contextlib.suppress(StoreUnavailable):
            await record(events, committer)

    async def _jump(self, chance: random.Random) -> None:
        """Somebody, or a time server, sets the machine's clock."""
        await asyncio.sleep(chance.uniform(0, self.mix.spread_s))
        self._clock.jump(chance.choice(JUMPS_S))

    async def _crash(self) -> None:
        """A worker is killed in the middle of whatever it does, and another takes its place."""
        await asyncio.sleep(self._chance.uniform(0, self.mix.spread_s))
        if not self._workers:
            return
        worker = self._workers.pop(self._chance.randrange(len(self._workers)))
        worker.committer.die()
        for task, call in worker.tasks.items():
            call.crashed = not task.done()
            task.cancel()
        await asyncio.sleep(self._chance.uniform(0, 10))
        await self._start()

    # -- what must hold ----------------------------------------------------------------------------------------------

    def _note_budgets(self) -> None:
        """Tell the auditor of the budgets in force, after all that became durable before."""
        self._audit()
        self._checked = -1
        with self._clean.read() as connection:
            self._auditor.set_budgets(Archive(connection).budgets())

    def _audit(self) -> None:
        for command, result in self._journal[self._audited :]:
            self._auditor.take(command, result)
        self._audited = len(self._journal)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.01, self.mix.spread_s / 10))
            if len(self._journal) > self._checked:
                self._check_limits()

    def _check_limits(self) -> None:
        """Assert that no hard budget is beyond its limit, but for what providers spent beyond their holds."""
        self._audit()
        self._checked = len(self._journal)
        with self._clean.read() as connection:
            archive = Archive(connection)
            stored, in_force = archive.counters(), {one.budget_id: one for one in archive.budgets()}
        for key, (held, spent) in stored.items():
            budget = in_force.get(key.budget_id)
            if budget is not None and budget.mode == "hard" and key.budget_id in self._limits:
                allowed = self._limits[key.budget_id] + self._auditor.excess[str(budget.axis)]
                assert held + spent <= allowed, (budget, key, held, spent)

    def _prove(self) -> None:
        self._check_limits()
        auditor = self._auditor
        with self._clean.read() as connection:
            archive = Archive(connection)
            events = list(archive.events())
            counters = {tuple(key): sums for key, sums in archive.counters().items() if any(sums)}
            open_holds = [hold.hold_id for hold in archive.open_holds()]
            balances = {name: amount for name, amount in archive.balances().items() if amount}
            verdict = verify(archive, self._clock.now_us())
        assert verdict.differences == []
        assert open_holds == [], "a hold outlived its owner"
        assert auditor.open_holds() == set()
        ours, theirs = counters.items(), auditor.counters().items()
        assert dict(filter(self._counts, ours)) == dict(filter(self._counts, theirs))
        assert balances == {name: amount for name, amount in auditor.balances().items() if amount}
        assert sorted((one.source, one.event_id) for one in events) == sorted(auditor.events)
        auditor.check_costs()
        for worker in self._workers:
            assert worker.world.drains.now == 0, "a drain was not left"
            assert not worker.committer.owes, "a settlement is still owed"
        self._prove_calls(events)
        self._prove_counts()

    def _counts(self, counter: tuple[tuple[str, str, int], tuple[int, int]]) -> bool:
        """Tell whether a counter is one of a budget in force, from the window on in which that was made."""
        budget_id, _, start_us = counter[0]
        budget = self._auditor.budgets.get(budget_id)
        if budget is None or not budget.name.startswith(ADDED):
            return budget is not None
        made_us = int(budget.name.removeprefix(ADDED))
        return start_us >= made_us - made_us % HOUR_US

    def _prove_counts(self) -> None:
        """Assert that no hold is too small that was made after a provider's count was seen to be larger than ours."""
        faults = {call.mark: call.fault for call in self.calls}
        opened: set[str] = set()  # on the trust of before
        doubted: set[str] = set()  # providers
        for command, result in self._journal:
            decided = type(result).__name__
            if decided == "Held" and command.hold.attribution.provider not in doubted:
                opened.add(command.hold.hold_id)
            elif decided == "Settled":
                event = result.event
                if (
                    own(event).overrun_picos
                    and not own(event).late
                    and faults[event.attribution.conversation] in AS_HELD
                ):
                    assert event.event_id in opened, (event, "held for less than the provider was known to count")
                    doubted.add(event.attribution.provider)

    def _prove_calls(self, events: list[Any]) -> None:
        """Assert that each call that was served has one event, and each event a call that reached its provider."""
        posted = Counter(event.attribution.conversation for event in events)
        of = {event.attribution.conversation: event for event in events}
        invoice = {row["api_key"]: row for row in self._app.ledger.invoice()["by"]}
        arrived = Counter(call["headers"][MARK.decode()] for call in self._app.ledger.calls())
        nothing_lost = not self.mix.crashes
        for call in self.calls:
            served, mark = invoice.get(call.mark), call.mark
            most = arrived[mark] if self._retries else min(1, arrived[mark])  # each attempt may have an event
            assert posted[mark] <= most, (mark, "charged without or beyond a service")
            acknowledged = call.client.complete and call.client.status == 200 and b'"error"' not in call.client.received
            replayed = call.name is not None and not arrived[mark]
            if acknowledged and not replayed:
                assert 1 <= posted[mark] <= most, (mark, "answered and not charged")
            if nothing_lost and served is not None:
                assert 1 <= posted[mark] <= most, (mark, "served and not charged")
            counts_more = self._percent[_provider(call.path)] > 100
            if posted[mark] and call.fault in AS_HELD and not own(of[mark]).late and not counts_more:
                assert own(of[mark]).overrun_picos == 0, (mark, "an honest provider cost more than was held")
            if served is not None and posted[mark] == 1 and call.fault == "cut_midstream" and not call.client.gone:
                streamed = "stream" in call.path or json.loads(call.client.body).get("stream")
                made = served["output_tokens"] if streamed else 0  # of a whole answer nobody saw anything
                assert of[mark].quantities["output_tokens"] * 2 >= made, (
                    mark,
                    "what was made before a cut is not charged",
                )
            if (
                served is not None
                and posted[mark] == 1
                and call.fault in HONEST
                and str(of[mark].completeness) == "final"
            ):
                for unit in ("input_tokens", "output_tokens"):
                    assert of[mark].quantities[unit] == served[unit], (mark, unit)


def _provider(path: str) -> str:
    return "google" if path.startswith("/v1beta") else "anthropic" if path == "/v1/messages" else "openai"
