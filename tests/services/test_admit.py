"""A call that is decided anew again and again ends in an answer."""

import asyncio
import json
from typing import Any

import pytest
from tests.services import stand_in

from pertoken.core.census import Census
from pertoken.core.commands import Held, OpenHold, Stale
from pertoken.core.errors import Code
from pertoken.core.refusals import RefusedCalls
from pertoken.ports.headers import HeaderList
from pertoken.services.call.admit import STALE_MAX
from pertoken.services.offers import Offers
from pertoken.services.serve import serve
from pertoken.services.world import Drains, World
from pertoken.wire import routes


class _Ledger(stand_in._Ledger):
    """Sees the directory change before so many holds."""

    def __init__(self, stale: int) -> None:
        super().__init__(stand_in.all_priced("openai"))
        self.stale = stale
        self.asked = 0

    def submit(self, command: Any) -> Any:
        """Decide, and count the holds that were asked for."""
        if not isinstance(command, OpenHold):
            return super().submit(command)
        self.asked += 1
        done = asyncio.get_running_loop().create_future()
        done.set_result(Stale() if self.asked <= self.stale else Held(None))
        return done


class _Client(stand_in._Client):
    """Keeps what it is answered."""

    status = 0
    told: HeaderList = ()

    def answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Take a whole answer."""
        self.status, self.told, self.refusal = status, headers, body


def answered(ledger: _Ledger, api: str) -> _Client:
    """Return the client of one call."""
    wire, path = stand_in.PATHS[api]
    answer = stand_in.whole("openai.chat", {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
    providers: Any = {"openai": stand_in._Provider("openai", wire, answer, ())}
    clock: Any = stand_in._Clock()
    sizes: Any = stand_in._Sizes()
    books: Any = ledger
    world = World(
        books, clock, stand_in.HASHER, stand_in.READERS, providers,
        Offers(books, providers, {}, sizes, stand_in.RULES.served), stand_in.RULES, "test", Drains(1),
        hold_ttl_us=10**9, census=Census(), refused=RefusedCalls(),
    )  # fmt: skip
    body = {"model": "m-1", "max_tokens": 100}
    client: Any = _Client(json.dumps(body | {"messages": [{"role": "user", "content": "hi"}], "contents": []}).encode())
    endpoint = routes.find(path)
    assert endpoint is not None
    asyncio.run(serve(client, endpoint, world))
    return client  # type: ignore[no-any-return]


@pytest.mark.parametrize(("api", "field"), [("openai.chat", "code"), ("anthropic.messages", "type")])
def test_a_directory_that_never_rests(api: str, field: str) -> None:
    """A call whose keys change six times while it is admitted is refused for now, as its client reads refusals."""
    ledger = _Ledger(10**9)
    client = answered(ledger, api)

    assert ledger.asked == STALE_MAX
    assert client.status == 503
    assert dict(client.told)[b"retry-after"] == b"1"
    assert dict(client.told)[b"x-pertoken-refused"] == Code.OVERLOADED.encode()
    assert client.refusal is not None
    error = json.loads(client.refusal)["error"]
    assert "changed 6 times" in error["message"]
    assert error[field]


def test_a_directory_that_comes_to_rest() -> None:
    """A call is served where the directory rests in time."""
    ledger = _Ledger(STALE_MAX - 1)

    assert answered(ledger, "openai.chat").status == 200
    assert ledger.asked == STALE_MAX
