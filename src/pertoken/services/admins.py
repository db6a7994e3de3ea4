"""Admin keys: creates and revokes them, and finds the principal for the secret of a request."""

import hmac
from typing import Any, NamedTuple

from pertoken.core.access import AdminKey, Principal, Role, why_not
from pertoken.core.ids import ADMIN_PREFIX, RANDOM_BITS, new_id, new_secret
from pertoken.core.periods import format_time
from pertoken.core.secrets import Hasher
from pertoken.core.texts import why_no_name
from pertoken.ports.administration import AdminKeys
from pertoken.ports.clock import Clock

SECRET_BITS = 160
ROOT = Principal("root", "operator's key (PERTOKEN_ADMIN_KEY)", Role.ADMIN)


class BadAdmin(Exception):
    """An admin key cannot be as asked."""


class AdminNameTaken(BadAdmin):
    """An admin key has this name already."""


class NewAdmin(NamedTuple):
    """An admin key just made, with its secret: it is shown once and stored nowhere."""

    admin: AdminKey
    secret: str


def create_admin(
    admins: AdminKeys,
    clock: Clock,
    hasher: Hasher,
    name: str,
    role: Role,
    *,
    team: str | None = None,
    customer: str | None = None,
    expires_at_us: int | None = None,
) -> NewAdmin:
    """Store a new admin key and return it with its secret. Raises BadAdmin."""
    named = {"the name": name, "the team": team, "the customer": customer}
    whys = [why_no_name(text, what) for what, text in named.items() if text is not None]
    reason = why_not(role, team, customer) or next((why for why in whys if why is not None), None)
    if reason is not None:
        raise BadAdmin(reason)
    now_us = clock.now_us()
    if expires_at_us is not None and expires_at_us <= now_us:
        raise BadAdmin("an admin key must expire in the future")
    if any(admin.name == name for admin in admins.list_all()):
        raise AdminNameTaken(f"an admin key is called {name!r} already; choose another name, see: pertoken admin list")
    secret = new_secret(clock.random_bits(SECRET_BITS), SECRET_BITS, ADMIN_PREFIX)
    admin = AdminKey(
        new_id("admin", now_us, clock.random_bits(RANDOM_BITS)),
        name,
        hasher.hash(secret.encode()),
        secret[-4:],
        role,
        team,
        customer,
        now_us,
        expires_at_us,
    )
    admins.add(admin)
    return NewAdmin(admin, secret)


def authenticate(secret: bytes, root_key: str, hasher: Hasher, admins: AdminKeys, now_us: int) -> Principal | None:
    """Return the principal with this secret, or None. `root_key` is the operator's own key, or empty."""
    if is_root(secret, root_key, hasher):
        return ROOT
    admin = admins.find(hasher.hash(secret))
    return admin.principal if admin is not None and admin.is_live(now_us) else None


def is_root(secret: bytes, root_key: str, hasher: Hasher) -> bool:
    """Tell whether `secret` is the operator's own key, which works while the store does not."""
    return bool(root_key) and hmac.compare_digest(hasher.hash(secret), hasher.hash(root_key.encode()))


def admin_fields(admin: AdminKey, now_us: int) -> dict[str, Any]:
    """Return an admin key as it is shown: all but its secret."""
    expired = admin.expires_at_us is not None and admin.expires_at_us <= now_us
    return {
        "id": admin.admin_id,
        "name": admin.name,
        "secret_ends_in": admin.secret_hint,
        "role": str(admin.role),
        "team": admin.team,
        "customer": admin.customer,
        "created_at": format_time(admin.created_at_us),
        "expires_at": None if admin.expires_at_us is None else format_time(admin.expires_at_us),
        "revoked_at": None if admin.revoked_at_us is None else format_time(admin.revoked_at_us),
        "status": "revoked" if admin.revoked_at_us is not None else "expired" if expired else "live",
    }
