"""Claims: a client's own name for a call, so that a repeated request makes no second call."""

from typing import NamedTuple


class Claim(NamedTuple):
    """A name that a client gives to one call, so that asking again is not calling again."""

    owner: str  # the key it is asked with
    name: str
    request_hash: bytes


class Outcome(NamedTuple):
    """What a client was answered."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None  # None: too large to be kept
    stream: bool


class Claimed(NamedTuple):
    """A claim as the books have it."""

    request_hash: bytes
    call_id: str
    is_open: bool  # its call is still under way
    outcome: Outcome | None  # None: it has none, or not yet
