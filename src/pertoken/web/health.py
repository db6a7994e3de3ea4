"""What the page of health knows beyond the books: facts of the installation, what doctor says, and the last proof.

`facts` and `findings` are wired: they name concrete stores and files. The proof runs on a thread of this process, which
serves pages and no calls.
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

KEPT_US = 60 * US_PER_SECOND  # how long what doctor says is told again
DIFFERENCES_MAX = 50

log = logging.getLogger("pertoken.pages")


class DoctorFinding(NamedTuple):
    """One thing that doctor looked at."""

    check: str
    level: str  # ok, note or problem
    found: str
    fix: str | None = None


class DoctorLook(NamedTuple):
    """What doctor said, and whether it looks again right now."""

    looked_us: int | None  # None: what it said is not to be told again
    findings: list[DoctorFinding]
    is_looking: bool


class Facts(NamedTuple):
    """What is known of an installation without reading its books."""

    store_bytes: int
    lines: Sequence[tuple[str, str]]  # what, and what it is
    lease: Sequence[tuple[str, str, int]]  # what it is for, who has it, until when


class Proof(NamedTuple):
    """How the last proof of the books stands."""

    started_us: int
    ended_us: int | None = None  # None: it runs
    checked: Mapping[str, int] = {}
    differences: Sequence[Difference] = ()
    found: int = 0  # differences in all
    failed: str | None = None  # why it did not come to an end


class Health:
    """Facts, findings and the last proof."""

    def __init__(self, facts: Callable[[], Facts], findings: Callable[[], list[DoctorFinding]]) -> None:
        self.facts = facts
        self._findings = findings
        self._known = DoctorLook(None, [], is_looking=False)
        self._proof: Proof | None = None
        self._lock = threading.Lock()

    def findings(self, now_us: int) -> DoctorLook:
        """Return what doctor said last. It looks again after a minute, on a thread: it takes a second."""
        known = self._known
        if known.looked_us is None or now_us - known.looked_us > KEPT_US:
            with self._lock:
                begins = not self._known.is_looking
                self._known = known = self._known._replace(is_looking=True)
            if begins:
                threading.Thread(target=self._look, args=(now_us,), name="doctor", daemon=True).start()
        return known

    def forget(self) -> None:
        """Have doctor look again when it is asked next."""
        with self._lock:
            self._known = self._known._replace(looked_us=None)

    def _look(self, now_us: int) -> None:
        try:
            found = self._findings()
        except Exception:
            log.exception("doctor was not asked, by our own mistake")
            found = [DoctorFinding("doctor", "problem", "it was not asked; the log has why", "pertoken doctor")]
        self._known = DoctorLook(now_us, found, is_looking=False)

    @property
    def proof(self) -> Proof | None:
        """How the last proof stands, None where there was none since this process began."""
        return self._proof

    def prove(self, store: Store, clock: Clock) -> bool:
        """Begin to prove the books on a thread; tell whether it began: one runs at a time."""
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
            log.exception("the proof of the books failed by our own mistake")
            self._proof = started._replace(ended_us=clock.now_us(), failed="pertoken made a mistake; its log has it")
        else:
            some, found = verdict.differences[:DIFFERENCES_MAX], len(verdict.differences)
            self._proof = Proof(started.started_us, clock.now_us(), verdict.checked, some, found)
