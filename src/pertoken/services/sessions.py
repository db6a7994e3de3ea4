"""Signing in to the pages with an admin key or a link that works once, and signing out."""

import hmac
from hashlib import sha256
from typing import NamedTuple

from pertoken.core.access import Principal
from pertoken.core.ids import new_secret
from pertoken.core.secrets import Hasher
from pertoken.core.sessions import SEEN_US, Session, SignInLink
from pertoken.ports.administration import AdminKeys
from pertoken.ports.clock import Clock
from pertoken.ports.sessions import Sessions
from pertoken.services.admins import ROOT

TOKEN_BITS = 256
SESSION_PREFIX = "session-"
LINK_PREFIX = "link-"
TAG_BYTES = 8  # enough to tell one key of the operator from another


class SignedIn(NamedTuple):
    """Who is signed in, and by what."""

    principal: Principal
    session: Session
    csrf: str  # a token that each change must include; no other site can know it


def start_session(sessions: Sessions, clock: Clock, hasher: Hasher, principal: Principal, root_key: str = "") -> str:
    """Store a session and return its token, for a cookie.

    `root_key` is the operator's own key if the session begins with a key: where that is the operator's, the session
    ends with it.
    """
    token = new_secret(clock.random_bits(TOKEN_BITS), TOKEN_BITS, SESSION_PREFIX)
    now_us = clock.now_us()
    admin_id = _id_by_key(root_key, hasher) if root_key and principal == ROOT else principal.principal_id
    sessions.start(Session(hasher.hash(token.encode()), admin_id, now_us, now_us))
    return token


def find_session(
    sessions: Sessions, admins: AdminKeys, hasher: Hasher, token: str, now_us: int, *, root_key: str
) -> SignedIn | None:
    """Return who is signed in by a token; None if the token is unknown or too old, or its admin key is not valid."""
    if not token.startswith(SESSION_PREFIX):
        return None
    session = sessions.find(hasher.hash(token.encode()))
    if session is None or not session.is_live(now_us):
        return None
    is_by_root = bool(root_key) and session.admin_id == _id_by_key(root_key, hasher)
    principal = ROOT if is_by_root else principal_of(admins, session.admin_id, now_us)
    return None if principal is None else SignedIn(principal, session, csrf_of(token))


def is_to_be_seen(session: Session, now_us: int) -> bool:
    """Tell whether to record that a session is used, which is not done for each request."""
    return now_us >= session.seen_at_us + SEEN_US


def make_link(sessions: Sessions, clock: Clock, hasher: Hasher, principal: Principal) -> str:
    """Store a link that signs its first user in as `principal`, and return its token."""
    token = new_secret(clock.random_bits(TOKEN_BITS), TOKEN_BITS, LINK_PREFIX)
    sessions.add_link(SignInLink(hasher.hash(token.encode()), principal.principal_id, clock.now_us()))
    return token


def use_link(sessions: Sessions, admins: AdminKeys, clock: Clock, hasher: Hasher, token: str) -> Principal | None:
    """Return who a link signs in, once; None if the link is unknown, used or too old, or its admin key is not valid."""
    link = sessions.take_link(hasher.hash(token.encode()))
    now_us = clock.now_us()
    return principal_of(admins, link.admin_id, now_us) if link is not None and link.is_live(now_us) else None


def csrf_of(token: str) -> str:
    """Return the token that changes in a session must include. It is derived, so that it need not be stored."""
    return hmac.digest(token.encode(), b"csrf", sha256).hex()


def principal_of(admins: AdminKeys, admin_id: str, now_us: int) -> Principal | None:
    """Return the principal of an admin key while it is good; the operator has no row."""
    if admin_id == ROOT.principal_id:
        return ROOT
    admin = admins.get(admin_id)
    return admin.principal if admin is not None and admin.is_live(now_us) else None


def _id_by_key(root_key: str, hasher: Hasher) -> str:
    """Return what a session has in place of an admin key's id if it began with the operator's own key.

    It tells one key from another, and nothing else: it is made under the secret key, for this purpose alone.
    """
    tag = hasher.hash(b"pertoken: sessions of " + root_key.encode())[:TAG_BYTES].hex()
    return f"{ROOT.principal_id}:{tag}"
