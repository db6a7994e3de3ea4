"""Data of the page Health that is not in the books: facts about the installation, doctor's findings, the last proof.

`facts` and `findings` are wired, because they name concrete stores and files. The proof runs on a thread of this
process, which serves only pages.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pertoken.core.periods import US_PER_SECOND
from pertoken.ports.clock import Clock
from pertoken.ports.ledger import StoreUnavailable
from pertoken.ports.store import Store
from pertoken.services.verdict import Difference
from pertoken.services.verify import verify

KEPT_US = 60 * US_PER_SECOND  # how long doctor's findings are reused
DIFFERENCES_MAX = 50

log = logging.getLogger("pertoken.pages")


class DoctorFinding(NamedTuple):
    """One thing that doctor checked."""

    check: str
    level: str  # ok, note or problem
    found: str
    fix: str | None = None


class DoctorLook(NamedTuple):
    """Doctor's findings, and whether it is checking again right now."""

    looked_us: int | None  # None: the findings must not be reused
    findings: list[DoctorFinding]
    is_looking: bool


class Facts(NamedTuple):
    """Facts about an installation that need no look into its books."""

    store_bytes: int
    lines: Sequence[tuple[str, str]]  # (name, value)
    lease: Sequence[tuple[str, str, int]]  # (purpose, holder, expiry)


class Proof(NamedTuple):
    """The state of the last proof of the books."""

    started_us: int
    ended_us: int | None = None  # None: it is running
    checked: Mapping[str, int] = {}
    differences: Sequence[Difference] = ()
    found: int = 0  # the number of differences
    failed: str | None = None  # why it did not finish


class Health:
    """Facts, findings and the last proof."""

    def __init__(self, facts: Callable[[], Facts], findings: Callable[[], list[DoctorFinding]]) -> None:
        self.facts = facts
        self._findings = findings
        self._known = DoctorLook(None, [], is_looking=False)
        self._proof: Proof | None = None
        self._lock = threading.Lock()

    def findings(self, now_us: int) -> DoctorLook:
        """Return doctor's last findings. After a minute it checks again, on a thread, because that takes a second."""
        known = self._known
        if known.looked_us is None or now_us - known.looked_us > KEPT_US:
            with self._lock:
                begins = not self._known.is_looking
                self._known = known = self._known._replace(is_looking=True)
            if begins:
                threading.Thread(target=self._look, args=(now_us,), name="doctor", daemon=True).start()
        return known

    def forget(self) -> None:
        """Make doctor check again at the next request."""
        with self._lock:
            self._known = self._known._replace(looked_us=None)

    def _look(self, now_us: int) -> None:
        try:
            found = self._findings()
        except Exception:
            log.exception("doctor did not run because of a bug in pertoken")
            found = [DoctorFinding("doctor", "problem", "it did not run; the log has the reason", "pertoken doctor")]
        self._known = DoctorLook(now_us, found, is_looking=False)

    @property
    def proof(self) -> Proof | None:
        """The state of the last proof; None if there was none since this process started."""
        return self._proof

    def prove(self, store: Store, clock: Clock) -> bool:
        """Start to prove the books on a thread; return False if a proof is already running."""
        with self._lock:
            if self._proof is not None and self._proof.ended_us is None:
                return False
            self._proof = Proof(clock.now_us())
        threading.Thread(target=self._prove, args=(store, clock), name="verify", daemon=True).start()
        return True

    def _prove(self, store: Store, clock: Clock) -> None:
        assert self._proof is not None
        started = self._proof
        try:
            with store.read() as opened:
                verdict = verify(opened.archive, clock.now_us())
        except StoreUnavailable as error:
            self._proof = started._replace(ended_us=clock.now_us(), failed=str(error))
        except Exception:
            log.exception("the proof of the books failed because of a bug in pertoken")
            self._proof = started._replace(ended_us=clock.now_us(), failed="pertoken made a mistake; its log has it")
        else:
            some, found = verdict.differences[:DIFFERENCES_MAX], len(verdict.differences)
            self._proof = Proof(started.started_us, clock.now_us(), verdict.checked, some, found)
