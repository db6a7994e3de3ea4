"""Sessions of people who are signed in to the pages."""

from typing import Protocol

from pertoken.core.sessions import Session, SignInLink


class Sessions(Protocol):
    """Sessions and the links that start them, in one transaction."""

    def find(self, token_hash: bytes) -> Session | None:
        """Return a session, even if it is too old."""

    def start(self, session: Session) -> None:
        """Store a new session, and remove sessions that are too old."""

    def see(self, token_hash: bytes, at_us: int) -> None:
        """Record that a session was used."""

    def end(self, token_hash: bytes) -> None:
        """Remove a session."""

    def add_link(self, link: SignInLink) -> None:
        """Store a new sign-in link, and remove links that are too old."""

    def take_link(self, token_hash: bytes) -> SignInLink | None:
        """Return a sign-in link and remove it, so that it is used once. None if it is unknown or already used."""
