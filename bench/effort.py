"""How long a run takes its time: so many rounds, so many seconds each."""

from typing import NamedTuple


class Effort(NamedTuple):
    """The time that measurements take. They end by time, not by count: a slow peer takes no longer than a fast one."""

    rounds: int
    call_s: float  # of one round of calls
    rate_s: float  # of one round at a fixed rate
    chunks: int  # of each stream
    lines: int  # given to a command


FULL = Effort(rounds=5, call_s=1.5, rate_s=3.0, chunks=200, lines=200_000)
QUICK = Effort(rounds=2, call_s=0.6, rate_s=1.5, chunks=60, lines=20_000)
