"""Searches for events, and their results."""

from collections.abc import Mapping
from typing import NamedTuple

from pertoken.core.events import Event


class Search(NamedTuple):
    """Which events to find: the newest `limit` matching ones before `before`."""

    where: Mapping[str, str]  # dimensions of an attribution, or source
    since_us: int
    until_us: int
    before: tuple[int, int] | None  # a place in the order of time
    limit: int
    status: str | None = None  # one of core.calls.STATUSES


class Posted(NamedTuple):
    """An event with its place in the order of time: when it occurred, and a number that breaks ties."""

    place: tuple[int, int]
    event: Event
