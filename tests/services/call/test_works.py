"""What can be read apart, by name."""

import asyncio

from tests.services.call.parts import ANSWERED, body_of, request_of
from tests.services.stand_in import READERS, TOKENIZERS

from pertoken.services.call.works import COUNTING, PLAIN, do


def test_each_work_has_a_name_of_its_own() -> None:
    """Those that count need the tokenizers, the others do not."""
    assert set(COUNTING) == {"answer_of", "counts_of", "tokens_of"}
    assert set(PLAIN) == {"facts_of", "choices_of", "sizes_of", "rewritten", "look_at"}


def test_what_is_read_here_is_what_is_read_apart() -> None:
    """The same work, of the same bytes."""
    family = request_of().family
    for work, body, args in (
        ("facts_of", body_of(), ("openai.chat", None, None)),
        ("counts_of", body_of(), ("openai.chat", family)),
        ("answer_of", ANSWERED, ("openai.chat", "openai", (), family)),
    ):
        assert asyncio.run(READERS.read("key_1", work, body, args)) == do(work, body, args, TOKENIZERS)
