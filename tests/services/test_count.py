"""Counting where it does not stop the event loop."""

import asyncio
import threading
from types import SimpleNamespace
from typing import cast

import pytest

from pertoken.core.bounds import family_of
from pertoken.counting.tokenizers import Tokenizers
from pertoken.services.call.count import AT_ONCE_LETTERS, count
from pertoken.services.world import World


@pytest.mark.parametrize(("letters", "is_known", "here"), [(10, True, True), (10, False, False), (10**6, True, False)])
def test_what_takes_long_is_counted_on_a_thread(letters: int, is_known: bool, here: bool) -> None:
    """A long text is, and the first text of a family, for which its vocabulary has to be read; all else is not."""
    family = family_of("gpt-4o")
    tokenizers = Tokenizers()
    if is_known:
        tokenizers.count_text(family, "")
    world = cast(World, SimpleNamespace(tokenizers=tokenizers))

    thread = asyncio.run(count(world, family, letters, threading.get_ident))

    assert letters > AT_ONCE_LETTERS or letters == 10
    assert (thread == threading.get_ident()) is here
