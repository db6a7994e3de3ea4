"""Who is signed in to the pages."""

from typing import Protocol

from pertoken.core.sessions import Session, SignInLink


class Sessions(Protocol):
    """Sessions and the links that start them, in one transaction."""

    def find(self, token_hash: bytes) -> Session | None:
        """Return a session, one that is too old as well."""

    def start(self, session: Session) -> None:
        """Store a new session; those that are too old are removed."""

    def see(self, token_hash: bytes, at_us: int) -> None:
        """Write down that a session was used."""

    def end(self, token_hash: bytes) -> None:
        """Remove a session."""

    def add_link(self, link: SignInLink) -> None:
        """Store a new sign-in link; those that are too old are removed."""

    def take_link(self, token_hash: bytes) -> SignInLink | None:
        """Return a sign-in link and remove it, so that it is used once. None: there is none, or none any more."""
