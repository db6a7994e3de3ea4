"""Sessions of the pages and the links that start them, in the database."""

from collections.abc import Callable

import sqlalchemy as sa

from pertoken.core.sessions import LINK_US, TOTAL_US, Session, SignInLink
from pertoken.ports import sessions as port
from pertoken.store.schema import Microseconds, metadata

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),  # of what the cookie holds
    sa.Column("admin_id", sa.Text, nullable=False),
    sa.Column("started_at_us", Microseconds, nullable=False),
    sa.Column("seen_at_us", Microseconds, nullable=False),
)

sign_in_links = sa.Table(
    "sign_in_links",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("admin_id", sa.Text, nullable=False),
    sa.Column("made_at_us", Microseconds, nullable=False),
)


class Sessions:
    """Works on one connection, inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, token_hash: bytes) -> Session | None:
        """Return a session, one that is too old as well."""
        row = self._connection.execute(sa.select(sessions).where(sessions.c.token_hash == token_hash)).first()
        return None if row is None else Session(*row)

    def start(self, session: Session) -> None:
        """Store a new session; those that are too old are removed."""
        old = sessions.c.started_at_us < session.started_at_us - TOTAL_US
        self._connection.execute(sa.delete(sessions).where(old))
        self._connection.execute(sa.insert(sessions).values(session._asdict()))

    def see(self, token_hash: bytes, at_us: int) -> None:
        """Write down that a session was used."""
        one = sa.update(sessions).where(sessions.c.token_hash == token_hash)
        self._connection.execute(one.values(seen_at_us=at_us))

    def end(self, token_hash: bytes) -> None:
        """Remove a session."""
        self._connection.execute(sa.delete(sessions).where(sessions.c.token_hash == token_hash))

    def add_link(self, link: SignInLink) -> None:
        """Store a new sign-in link; those that are too old are removed."""
        old = sign_in_links.c.made_at_us < link.made_at_us - LINK_US
        self._connection.execute(sa.delete(sign_in_links).where(old))
        self._connection.execute(sa.insert(sign_in_links).values(link._asdict()))

    def take_link(self, token_hash: bytes) -> SignInLink | None:
        """Return a sign-in link and remove it, so that it is used once. None if it is unknown or already used."""
        one = sign_in_links.c.token_hash == token_hash
        row = self._connection.execute(sa.select(sign_in_links).where(one)).first()
        self._connection.execute(sa.delete(sign_in_links).where(one))
        return None if row is None else SignInLink(*row)


OPENS: Callable[[sa.Connection], port.Sessions] = Sessions
