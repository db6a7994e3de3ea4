"""One virtual key: its usage, the budgets that limit it, and forms that rotate and revoke it."""

from collections.abc import Mapping

from pertoken.core.access import Action
from pertoken.core.budgets import Budget
from pertoken.core.directory import Key
from pertoken.web import shown, use
from pertoken.web.acting import act
from pertoken.web.page import Deed, Done, NotHere, NotTaken, Page, PageContext, Visit, place
from pertoken.web.pages.budgets import COUNTS, fitting
from pertoken.web.pages.keys import state_of

HOUR_S = 3600
OVERLAPS = {
    "none": 0,
    "1 hour": HOUR_S,
    "1 day": 24 * HOUR_S,
    "7 days": 7 * 24 * HOUR_S,
    "30 days": 30 * 24 * HOUR_S,
}
OPEN = ("model", "provider", "user", "conversation", "customer")  # a key does not fix these; its calls name them


def show(visit: Visit) -> PageContext:
    """Return one key. Raises NotHere."""
    key = _find(visit)
    where = {"key": key.key_id}
    rows = use.call_rows(visit, use.newest(visit, where))
    return {
        "key": key,
        "state": state_of(key, visit.now_us),
        "use": use.of(visit, where, ("model", "customer")),
        "calls": rows,
        "all_calls": visit.link("/calls", key=key.key_id),
        "limits": fitting(visit, lambda budget: may_touch(budget, key)),
        "counts": COUNTS,
        "made": shown.time(key.created_at_us, visit.zone),
        "expires": shown.time(key.expires_at_us, visit.zone) if key.expires_at_us else None,
        "revoked": shown.time(key.revoked_at_us, visit.zone) if key.revoked_at_us else None,
        "old_until": shown.time(key.old_secret_until_us, visit.zone)
        if (key.old_secret_until_us or 0) > visit.now_us
        else None,
        "may_write": visit.may(Action.KEYS_WRITE) and key.revoked_at_us is None,
        "overlaps": tuple(OVERLAPS),
    }


def may_touch(budget: Budget, key: Key) -> bool:
    """Tell whether calls of a key may count on a budget: the values that the key fixes must match its scope."""
    tags = {f"tag:{name}": value for name, value in key.tags}
    fixed = {"key": key.key_id, "team": key.team, **tags, **({"customer": key.customer} if key.customer else {})}
    return all(
        fixed[name] == value if name in fixed else name in OPEN or name.startswith("tag:")
        for name, value in budget.scope
    )


def _find(visit: Visit) -> Key:
    found = next((key for key in visit.opened.archive.list_keys() if key.key_id == visit.name), None)
    if found is None:
        raise NotHere(f"There is no key {visit.name}, or it is not yours to see.")
    return found


def rotate(visit: Visit, form: Mapping[str, str]) -> Done:
    """Give the key a new secret; the old one stays valid for a while."""
    overlap_s = OVERLAPS.get(form.get("overlap", ""))
    if overlap_s is None:
        raise NotTaken(f"choose how long the old secret stays valid: {', '.join(OVERLAPS)}", "overlap")
    made = act(visit, "POST", "/api/v1/secrets/{id}", _find(visit).key_id, {"overlap_s": overlap_s})
    said = f"The key {made.name} has a new secret. The old one stays valid for: {form.get('overlap', '')}."
    return Done(visit.link(place("/keys", visit.name)), said, made.secret)


def revoke(visit: Visit, form: Mapping[str, str]) -> Done:
    """Revoke the key, if its name was typed."""
    key = _find(visit)
    if form.get("typed_name", "").strip() != key.name:
        raise NotTaken(f"type the name of the key to revoke it: {key.name}", "typed_name")
    act(visit, "DELETE", "/api/v1/keys/{id}", key.key_id)
    return Done(visit.link(place("/keys", visit.name)), f"The key {key.name} was revoked: its next call is refused.")


PAGE = Page(
    "/keys/{id}",
    "Key",
    Action.KEYS_READ,
    show,
    "pages/key.html",
    parent="/keys",
    deeds=(Deed("rotate", Action.KEYS_WRITE, rotate), Deed("revoke", Action.KEYS_WRITE, revoke)),
)
