"""What a peer is: something that is had, started, and then asked the same call as everybody else."""

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from call import Target


class Absent(Exception):
    """A peer cannot be had here; the reason is for a table."""


class Place(NamedTuple):
    """Where a peer is started: a folder of its own, a free port, and the provider that it passes calls on to."""

    folder: Path
    port: int
    provider_url: str

    @property
    def url(self) -> str:
        """Return where it answers."""
        return f"http://127.0.0.1:{self.port}"


class Start(NamedTuple):
    """How a peer is started, and how it is asked then."""

    command: Sequence[str]
    target: Target
    environ: Mapping[str, str] = {}


class Peer(abc.ABC):
    """One peer. It is measured with its own published settings for speed: one process, and nothing kept of a call."""

    name: ClassVar[str]
    does: ClassVar[str]  # with a call, beside passing it on
    streams: ClassVar[bool] = True

    @abc.abstractmethod
    def install(self) -> str:
        """Make sure that it is there, outside of the repository; return its version. Raises Absent."""

    @abc.abstractmethod
    def prepare(self, place: Place) -> Start:
        """Write what it needs into its folder; return how it is started."""

    def close(self, _place: Place) -> str:
        """Return what is to be said of it when all is done and it still runs."""
        return ""
