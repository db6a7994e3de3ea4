"""Sessions: who is signed in to the pages, and for how long that is good."""

from typing import NamedTuple

from pertoken.core.periods import US_PER_SECOND

IDLE_US = 2 * 3600 * US_PER_SECOND  # without a request
TOTAL_US = 12 * 3600 * US_PER_SECOND  # whatever is asked for
SEEN_US = 60 * US_PER_SECOND  # how exact it is written down when a session was last used
LINK_US = 5 * 60 * US_PER_SECOND  # in which a sign-in link can be used, once


class Session(NamedTuple):
    """Somebody signed in. The database has a hash of what the cookie holds."""

    token_hash: bytes
    admin_id: str
    started_at_us: int
    seen_at_us: int

    def is_live(self, now_us: int) -> bool:
        """Tell whether it is good at `now_us`."""
        return now_us < self.seen_at_us + IDLE_US and now_us < self.started_at_us + TOTAL_US


class SignInLink(NamedTuple):
    """A link that signs in whoever opens it first."""

    token_hash: bytes
    admin_id: str
    made_at_us: int

    def is_live(self, now_us: int) -> bool:
        """Tell whether it may be used at `now_us`."""
        return now_us < self.made_at_us + LINK_US
