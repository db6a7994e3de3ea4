"""Counting what a model reads and writes, by whoever reads for the call."""

import asyncio

from tests.services.call.parts import body_of, request_of, world_of
from tests.services.stand_in import Elsewhere

from pertoken.services.call.count import count_output, count_request, turn_of


def test_a_request_in_numbers() -> None:
    """Its texts, in tokens and bytes, and what stands around them."""
    picture = [{"type": "text", "text": "hello world"}, {"type": "image_url", "image_url": {"url": "https://a/b.png"}}]
    counts = asyncio.run(count_request(request_of(body_of()), world_of()))
    with_picture = request_of(body_of(messages=[{"role": "user", "content": picture}]))

    assert (counts.text_bytes, counts.messages, counts.has_media) == (6, 1, False)
    assert 0 < counts.tokens <= 6
    assert asyncio.run(count_request(with_picture, world_of())).has_media


def test_what_nobody_can_count_is_as_much_as_it_can_be() -> None:
    """A text that a model wrote is never free because a reader is away."""
    away = world_of(readers=Elsewhere(fails_at="tokens_of"))
    text, request = "hello there " * 50, request_of()
    counted = asyncio.run(count_output(request, text, world_of()))

    assert 0 < counted < asyncio.run(count_output(request, text, away))
    assert asyncio.run(count_output(request, "", away)) == 0


def test_a_key_waits_for_its_own_turn() -> None:
    """Reading for a call takes the turn of its key."""
    assert turn_of(request_of()) == "key_1"
