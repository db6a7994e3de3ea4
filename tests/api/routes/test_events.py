import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.api.conftest import Api, Reply, event, fresh

from pertoken.api.app import TAKING_MAX
from pertoken.api.routes import events
from pertoken.core.access import Role
from pertoken.core.commands import Look
from pertoken.ports.ledger import StoreUnavailable

TALLY = {"accepted": 0, "duplicate": 0, "conflicting": 0, "conflicting_lines": [], "rejected": [], "unpriced": None}


def test_an_event_is_taken_in_once(api: Api) -> None:
    """One event is accepted, the same again is a duplicate, other content is a conflict and changes nothing."""
    reported = event(customer=fresh("customer"))
    first = api("POST", "/api/v1/events", reported)
    again = api("POST", "/api/v1/events", reported)
    other = api("POST", "/api/v1/events", {**reported, "usage": {"input_tokens": 1}})
    stored = api("GET", "/api/v1/events", query={"customer": reported["customer"]}).json["events"]

    assert (first.status, first.json) == (200, {**TALLY, "accepted": 1})
    assert (again.status, again.json) == (200, {**TALLY, "duplicate": 1})
    assert (other.status, other.json["code"]) == (409, "event_conflict")
    assert [(one["id"], one["usage"], one["cost"]) for one in stored] == [
        (reported["id"], {"input_tokens": 1_000, "output_tokens": 100}, "0.00021")
    ]


def test_a_list_is_judged_one_by_one(api: Api) -> None:
    """In a list the good events are taken in, and each other one is named by its place."""
    good = event()
    reply = api(
        "POST", "/api/v1/events",
        [good, good, {**good, "model": "gpt-4o"}, 3, {}, event(usage={"no_such_unit": 1}), event(source="gateway")],
    )  # fmt: skip

    assert reply.status == 200
    said = reply.json
    assert (said["accepted"], said["duplicate"], said["conflicting_lines"]) == (1, 1, [3])
    assert [(one["line"], one["code"]) for one in said["rejected"]] == [(n, "invalid_event") for n in (4, 5, 6, 7)]


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "\0"},
        {"id": "a\x1b[31m"},
        {"id": "x" * 1_001},
        {"id": 2**63},
        {"id": None},
        {"id": ["a"]},
        {"source": "gateway"},
        {"source": "a\nb"},
        {"model": ""},
        {"model": None},
        {"team": "\x7f"},
        {"tags": {"a\0": "b"}},
        {"tags": {"a": "b\n"}},
        {"tags": {"a" * 1_001: "b"}},
        {"tags": {str(n): "" for n in range(65)}},
        {"tags": [1]},
        {"usage": None},
        {"usage": {}},
        {"usage": {"input_tokens": -1}},
        {"usage": {"input_tokens": 1.5}},
        {"usage": {"input_tokens": True}},
        {"usage": {"input_tokens": 10**12 + 1}},
        {"usage": {"input_tokens": 10**30}},
        {"usage": {"output_tokens": 1, "reasoning_tokens": 2}},
        {"usage": {"output_tokens": 10**12}, "model": "gpt-4"},  # sixty million dollars
        {"at": "yesterday"},
        {"at": "9999-12-31T00:00:00Z"},
        {"at": "1969-12-31"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"at": 5},
        {"batch": "yes"},
    ],
    ids=str,
)
def test_a_bad_event_is_refused(api: Api, change: dict[str, Any]) -> None:
    """What is no event is refused with 422 and a reason; nothing is stored, the books stay right."""
    customer = fresh("customer")
    reply = api("POST", "/api/v1/events", {**event(customer=customer), **change})

    assert (reply.status, reply.json["code"]) == (422, "invalid_field"), reply.raw
    assert api("GET", "/api/v1/events", query={"customer": customer}).json["events"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b'{"a": NaN}', 400, "invalid_json"),
        (b"[Infinity]", 400, "invalid_json"),
        (b'"\xff"', 400, "invalid_json"),
        (b'{"id": "\\ud800"}', 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"a":' * 9_000, 400, "invalid_json"),
        (b'[{"a":' + b"[" * 9_000 + b"]" * 9_000 + b"}]", 400, "invalid_json"),
        (b'{"a":' * 100_000, 413, "too_large"),
        (b"1" * 5_000, 422, "invalid_field"),
        (b"1e999", 422, "invalid_field"),
        (b"null", 422, "invalid_field"),
        (b"3", 422, "invalid_field"),
        (b'"text"', 422, "invalid_field"),
        (b"[" + b"{}," * 10_000 + b"{}]", 413, "too_large"),
        (b" " * (events.EVENTS_BYTES_MAX + 1), 413, "too_large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_bad_body_is_refused(api: Api, body: bytes, status: int, code: str) -> None:
    """A body that is not JSON, too deep, too long or of another shape is refused by name."""
    reply = api("POST", "/api/v1/events", body)

    assert (reply.status, reply.json["code"]) == (status, code)


def test_no_events_are_none(api: Api) -> None:
    """An empty list is taken in: nothing becomes of it."""
    assert api("POST", "/api/v1/events", []).json == TALLY


def test_ten_thousand_events_in_one_request(api: Api) -> None:
    """As many events as a request takes are taken in, counted once each, and the books agree."""
    customer = fresh("customer")
    many = [event(customer=customer) for _ in range(10_000)]

    assert api("POST", "/api/v1/events", many).json == {**TALLY, "accepted": 10_000}
    assert api("POST", "/api/v1/events", many[:5_000]).json == {**TALLY, "duplicate": 5_000}
    usage = api("GET", "/api/v1/usage", query={"since": "2026-11-01", "until": "2026-11-01", "by": "customer"}).json
    [row] = [one for one in usage["rows"] if one["customer"] == customer]
    assert (row["calls"], row["input_tokens"], row["cost"]) == (10_000, 10_000_000, "2.1")
    assert api.differences() == []


def test_a_big_request_does_not_hold_up_the_ledger(api: Api) -> None:
    """While thousands of events are taken in, a command of a call is answered before they are all done."""
    many = [event() for _ in range(10_000)]
    finished: dict[str, int] = {}

    async def call() -> None:
        looks = 0
        while "post" not in finished:
            await api.committer.submit(Look())
            looks += 1
        finished["looks"] = looks

    async def post() -> Reply:
        reply: Reply = await api._exchange(scope_of(api), json.dumps(many).encode())
        finished["post"] = 1
        return reply

    async def both() -> Reply:
        reply, _ = await asyncio.gather(post(), call())
        return reply

    reply = api.run(both())

    assert reply.json["accepted"] == 10_000
    assert finished["looks"] >= 10_000 // events.BATCH


def test_many_big_requests_leave_the_ledgers_queue_to_calls(api: Api) -> None:
    """However many requests bring events at once, the ledger is handed two batches of them at a time."""
    bodies = [json.dumps([event() for _ in range(1_000)]).encode() for _ in range(8)]
    queued: list[int] = []

    async def watch(done: asyncio.Event) -> None:
        while not done.is_set():
            queued.append(len(api.committer._waiting))
            await asyncio.sleep(0)

    async def post_all() -> list[Reply]:
        done = asyncio.Event()
        watching = asyncio.create_task(watch(done))
        replies = await asyncio.gather(*(api._exchange(scope_of(api), body) for body in bodies))
        done.set()
        await watching
        return replies

    assert [reply.json["accepted"] for reply in api.run(post_all())] == [1_000] * 8
    assert 0 < max(queued) <= TAKING_MAX * events.BATCH


def scope_of(api: Api) -> dict[str, Any]:
    """Return the scope of a request that posts events."""
    headers = [(b"authorization", f"Bearer {api.key}".encode()), (b"content-type", b"application/json")]
    return {
        "type": "http", "method": "POST", "path": "/api/v1/events", "raw_path": b"/api/v1/events", "root_path": "",
        "query_string": b"", "headers": headers, "scheme": "http", "server": ("test", 80), "http_version": "1.1",
    }  # fmt: skip


def test_pages_go_through_all_once(api: Api) -> None:
    """Cursors lead through all events, the newest first, each once, also when others come in meanwhile."""
    customer = fresh("customer")
    ids = [event(customer=customer)["id"] for _ in range(7)]
    for one in ids:
        api("POST", "/api/v1/events", event(id=one, customer=customer))
    seen: list[str] = []
    query = {"customer": customer, "limit": "3"}
    pages = 0
    while True:
        said = api("GET", "/api/v1/events", query=query).json
        seen += [one["id"] for one in said["events"]]
        pages += 1
        api("POST", "/api/v1/events", event(customer=customer))
        if said["next_cursor"] is None:
            break
        query["cursor"] = said["next_cursor"]

    assert seen == list(reversed(ids))
    assert pages == 3


def test_filters_select(api: Api) -> None:
    """Each filter, and the range of time, selects what it says."""
    customer = fresh("customer")
    named = {"user": "u1", "model": "gpt-4o", "source": "crm", "conversation": "c1"}
    one = event(customer=customer, at="2026-10-01T00:00:00Z", **named)
    two = event(customer=customer, user="u2")
    api("POST", "/api/v1/events", [one, two])

    def found(**query: str) -> list[str]:
        said = api("GET", "/api/v1/events", query={"customer": customer, **query}).json
        return [row["id"] for row in said["events"]]

    assert found() == [two["id"], one["id"]]
    for name, value in named.items():
        assert found(**{name: value}) == [one["id"]]
    assert found(provider="nobody") == found(key="nobody") == []
    assert found(until="2026-10-31") == found(since="2026-10-01", until="2026-10-02") == [one["id"]]
    assert found(since="2026-11-01T10:00:00Z") == [two["id"]]


def test_a_named_request_is_answered_once(api: Api) -> None:
    """With an Idempotency-Key the first answer is given again, to the same body alone, and by the same admin alone."""
    name, reported = fresh("name"), event()
    first = api("POST", "/api/v1/events", reported, idempotency_key=name)
    again = api("POST", "/api/v1/events", reported, idempotency_key=name)
    other = api("POST", "/api/v1/events", event(), idempotency_key=name)
    elsewhere = api.as_role(Role.ADMIN)("POST", "/api/v1/events", reported, idempotency_key=name)

    assert first.json == again.json == {**TALLY, "accepted": 1}
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
    assert elsewhere.json == {**TALLY, "duplicate": 1}


def test_a_named_key_is_made_once(api: Api) -> None:
    """A key asked for several times at once by one name is made once; only the first answer has its secret."""
    name, body = fresh("name"), {"name": fresh("key")}
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: api("POST", "/api/v1/keys", body, idempotency_key=name), range(8)))

    assert {reply.status for reply in replies} == {201}
    assert len({reply.json["id"] for reply in replies}) == 1
    secrets = [reply.json["secret"] for reply in replies if reply.json["secret"] is not None]
    assert len(secrets) == 1
    with api.database.read() as connection:
        kept = b"".join(row[0] for row in connection.exec_driver_sql("SELECT body FROM answers"))
    assert secrets[0].encode() not in kept


def test_named_events_at_once_are_answered_alike(api: Api) -> None:
    """Of the same named request, asked eight times at once, every answer is the one that is kept."""
    name, reported = fresh("name"), [event() for _ in range(300)]
    with ThreadPoolExecutor(8) as threads:
        asked = list(threads.map(lambda _: api("POST", "/api/v1/events", reported, idempotency_key=name), range(8)))
    kept = api("POST", "/api/v1/events", reported, idempotency_key=name)

    assert {reply.raw for reply in asked} == {kept.raw}


def test_a_refusal_is_not_kept(api: Api) -> None:
    """A named request that was refused can be asked again when what was wrong is mended."""
    name, taken = fresh("name"), fresh("key")
    made = api("POST", "/api/v1/keys", {"name": taken}).json

    assert api("POST", "/api/v1/keys", {"name": taken}, idempotency_key=name).status == 409
    with api.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE keys SET name = '{fresh('other')}' WHERE key_id = '{made['id']}'")  # noqa: S608 - names of our own
    assert api("POST", "/api/v1/keys", {"name": taken}, idempotency_key=name).status == 201


@pytest.mark.parametrize("name", ["", "x" * 201, "tab\there", "\x1b"])
def test_a_bad_idempotency_key_is_refused(api: Api, name: str) -> None:
    """An empty, long or unprintable name is none."""
    reply = api("POST", "/api/v1/events", event(), idempotency_key=name)

    assert (reply.status, reply.json["param"]) == (400, "Idempotency-Key")


def test_a_store_that_fails_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """When events cannot be written the answer says so, and when to ask again; asked again they count once."""
    reported = event()

    def fail(_commands: object) -> object:
        future = api.loop.create_future()
        future.set_exception(StoreUnavailable("the disk is full"))
        return future

    with monkeypatch.context() as broken:
        broken.setattr(api.committer, "record_all", fail)
        reply = api("POST", "/api/v1/events", reported)

    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (503, "store_unavailable", "1")
    assert api("POST", "/api/v1/events", reported).json == {**TALLY, "accepted": 1}


def test_an_answer_is_forgotten_after_a_day(api: Api) -> None:
    """What was answered more than a day ago is removed when another answer is kept."""
    name, later = fresh("name"), fresh("later")
    api("POST", "/api/v1/events", event(), idempotency_key=name)
    with api.database.write() as connection:
        day_ago_us = time.time_ns() // 1_000 - 25 * 3_600_000_000
        connection.exec_driver_sql(f"UPDATE answers SET answered_at_us = {day_ago_us} WHERE name = '{name}'")  # noqa: S608 - a name of our own
    api("POST", "/api/v1/events", event(), idempotency_key=later)

    assert api("POST", "/api/v1/events", event(), idempotency_key=name).json == {**TALLY, "accepted": 1}


@pytest.mark.parametrize(
    "body",
    [b"[" + b"{}," * 250_001 + b"{", b" [" + b"0," * 500_001, b'{"usage":{' + b'"a":1,' * 10_001, b"[" * 500_001],
    ids=["objects", "numbers", "fields of one event", "lists in lists"],
)
def test_too_much_structure_is_not_parsed(api: Api, body: bytes) -> None:
    """A body with more values than events have is refused before it is found to be no json: parsing takes long."""
    reply = api("POST", "/api/v1/events", body)
    assert (reply.status, reply.json["code"]) == (413, "too_large")
    assert "values" in reply.json["message"]


def test_each_event_is_read_alone(api: Api) -> None:
    """Commas in texts are no structure; an event that cannot be read, or has too much, is named by its place."""
    good, other = (json.dumps(event(conversation="," * 900, note="," * 20_000)).encode() for _ in range(2))
    bad = [b'{"id":"\xff"}', b'{"a":[' + b"0," * 10_001 + b"0]}"]
    reply = api("POST", "/api/v1/events", b"[" + b",".join([good, *bad, other]) + b"]")

    assert (reply.status, reply.json["accepted"]) == (200, 2)
    assert [(one["line"], one["code"]) for one in reply.json["rejected"]] == [(n, "invalid_event") for n in (2, 3)]


def test_a_price_stated_a_moment_ago_counts(api: Api) -> None:
    """An event that is reported right after its price was stated is priced."""
    model = fresh("model")
    body = {"provider": "openai", "model": model, "input": "2", "output": "8", "valid_from": "2026-01-01"}
    assert api("POST", "/api/v1/prices", body).status == 201

    assert api("POST", "/api/v1/events", event(model=model)).json["unpriced"] is None
