"""A heavy body is read apart at the end of its call as well: where input is counted, and where a count is doubted."""

import json
from typing import Any

import pytest
from tests.services import stand_in
from tests.services.stand_in import Elsewhere, settled, whole

from pertoken.core.events import Event
from pertoken.services.call.heavy import Heavy
from pertoken.services.world import World
from pertoken.wire import openai_chat

TEXT = "a river runs by " * 50
NO_USAGE: dict[str, Any] = {}
FAR_MORE = {"prompt_tokens": 90_000, "completion_tokens": 1, "total_tokens": 90_001}


def call(usage: dict[str, Any], elsewhere: Elsewhere | None, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Return the event of a call whose body is heavy where there is somebody to read it."""
    if elsewhere is not None:
        of_content = openai_chat.read_content

        def read_content(body: bytes) -> Any:
            assert elsewhere.reads, "a heavy body was read on the event loop, or in a thread of its process"
            return of_content(body)

        monkeypatch.setattr(openai_chat, "read_content", read_content)
        monkeypatch.setattr(stand_in, "World", lambda *args, **more: World(*args, **more)._replace(readers=elsewhere))
        monkeypatch.setattr(
            stand_in._Client, "heavy", property(lambda client: client.__dict__.setdefault("is", made(client.body)))
        )
    return settled(
        "openai.chat", "openai", whole("openai.chat", usage), messages=[{"role": "user", "content": TEXT}], user="u"
    )


def made(body: bytes) -> Heavy:
    """Return a body that is read apart."""
    assert json.loads(body)
    return Heavy(body, "key_1", 250_000)


@pytest.mark.parametrize("usage", [NO_USAGE, FAR_MORE], ids=["without usage", "with far more input than was held"])
def test_it_is_read_apart(usage: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is charged is what is charged for a light body of the same bytes; this process never parses it."""
    light = call(usage, None, monkeypatch)
    elsewhere = Elsewhere()
    heavy = call(usage, elsewhere, monkeypatch)
    assert heavy.quantities == light.quantities
    assert heavy.cost_picos == light.cost_picos
    assert elsewhere.works.count("counts_of") == 1


def test_it_cannot_be_read_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the other process fails, what was held for the input is charged, which is not less than the count."""
    counted = call(NO_USAGE, None, monkeypatch)
    charged = call(NO_USAGE, Elsewhere(fails_at="counts_of"), monkeypatch)
    assert dict(charged.quantities)["input_tokens"] > dict(counted.quantities)["input_tokens"]
