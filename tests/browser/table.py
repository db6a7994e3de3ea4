"""Who sees which page, and who may do what: one row a page, one row an action. Said here anew, not taken from the code.

`test_coverage.py` fails where a page or an action of the pages has no row.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tests.browser.conftest import TEAM, House

ALL = ("admin", "finance", "viewer", "team_owner", "customer")
INSIDE = ("admin", "finance", "viewer", "team_owner")
ADMIN = ("admin",)
SET_KEYS = ("admin", "team_owner")
SET_BUDGETS = ("admin", "finance", "team_owner")
SEES: Mapping[str, tuple[str, ...]] = {  # by the path of a page
    "/": ALL,
    "/explore": ALL,
    "/calls": INSIDE,
    "/calls/{call_id}": INSIDE,
    "/providers": INSIDE,
    "/budgets": INSIDE,
    "/budgets/new": SET_BUDGETS,
    "/budgets/{name}": INSIDE,
    "/prices": INSIDE,
    "/prices/{name}": INSIDE,
    "/customers": INSIDE,
    "/customers/{name}": ALL,
    "/keys": INSIDE,
    "/keys/{id}": INSIDE,
    "/teams": INSIDE,
    "/teams/{name}": INSIDE,
    "/playground": INSIDE,
    "/audit": ("admin", "finance", "team_owner"),
    "/admins": ADMIN,
    "/health": ("admin", "finance", "viewer"),
    "/find": ALL,
}
HIDDEN = {  # of one thing that is another's: the roles that read that there is none
    "/calls/{call_id}": ("team_owner",),
    "/budgets/{name}": ("team_owner",),
    "/customers/{name}": ("customer",),
    "/keys/{id}": ("team_owner",),
    "/teams/{name}": ("team_owner",),
}
FUTURE = (datetime.now(UTC) + timedelta(days=400)).date()
TYPED_FUTURE = f"{FUTURE:%m%d%Y}"  # as it is typed into a field for a date


class Doing(NamedTuple):
    """An action of a page: who may take it, and how it is done by hand."""

    page: str
    deed: str
    roles: tuple[str, ...]
    fields: Mapping[str, str]  # what is typed, by label; {n} is the name of the thing
    buttons: tuple[str, ...]  # pressed one after the other
    says: str
    then: str = ""  # what the page shows on which it ends
    opens: str = ""  # the words that open the form
    given: Callable[[House, str, str], str] | None = None  # makes the thing that the page is of
    secret: bool = False  # one is shown, once
    posts: Mapping[str, str] = {}  # what the form sends

    def __hash__(self) -> int:
        return hash((self.page, self.deed))

    @property
    def previews(self) -> bool:
        """Whether the form comes after a preview."""
        return self.buttons[0].startswith("Preview")


def a_key(house: House, name: str, role: str) -> str:
    """Make a key of the team; return its id."""
    made: str = house.ask("POST", "/api/v1/keys", {"name": name, "team": TEAM}, role)["id"]
    return made


def a_budget(house: House, name: str, role: str) -> str:
    """Set a budget of the team; return its name."""
    body = {"limit": "5", "window": "month", "scope": {"team": TEAM}}
    house.ask("PUT", f"/api/v1/budgets/{name}", body, role)
    return name


def a_team(house: House, name: str, _role: str) -> str:
    """Make a team that has a customer and may report; return its name."""
    reports = {"money": "1", "currency": "USD"}
    house.ask("PUT", f"/api/v1/teams/{name}", {"customers": [f"{name}-customer"], "reports": reports})
    return name


def a_customer(house: House, name: str, role: str) -> str:
    """Make a team that has a customer; return the customer."""
    return f"{a_team(house, name, role)}-customer"


def a_made_customer(house: House, name: str, role: str) -> str:
    """Make a customer of the team; return its id."""
    house.ask("POST", "/api/v1/customers", {"id": name, "team": TEAM}, role)
    return name


def a_price(house: House, name: str, _role: str) -> str:
    """State the price of a model, now and to come; return what its page is called."""
    for start in (None, f"{FUTURE}T00:00:00Z"):
        house.ask("POST", "/api/v1/prices", {"provider": "in-house", "model": name, "input": "1", "valid_from": start})
    return f"in-house/{name}"


def a_wrong_charge(house: House, name: str, _role: str) -> str:
    """Report a call of a model that has no price, and state one afterwards; return what its page is called."""
    at = datetime.now(UTC) - timedelta(hours=1)
    model = {"provider": "in-house", "model": name}
    house.ask("POST", "/api/v1/events", {"id": name, "at": f"{at:%FT%TZ}", **model, "usage": {"input_tokens": 1_000}})
    start = f"{at - timedelta(days=1):%FT%TZ}"
    house.ask("POST", "/api/v1/prices", {**model, "input": "1", "valid_from": start})
    return f"in-house/{name}"


def a_view(house: House, name: str, role: str) -> str:
    """Save a view of one's own; return its name."""
    house.ask("POST", "/api/v1/views", {"name": name, "query": "metric=calls"}, role)
    return name


def an_admin(house: House, name: str, _role: str) -> str:
    """Make an admin key; return its name."""
    house.ask("POST", "/api/v1/admins", {"name": name, "role": "viewer"})
    return name


MONEY = {"axis": "money", "window": "month", "mode": "hard", "currency": "USD", "timezone": "UTC"}
DOINGS = (
    Doing("/keys", "make", SET_KEYS,
        {"Name": "{n}", "Team": TEAM, "Tags": "env=prod", "Expires": TYPED_FUTURE}, ("Make key",),
        "The key {n} was made.", then=f"expires {FUTURE.day} {FUTURE:%b %Y}", opens="Make a key", secret=True,
        posts={"name": "{n}", "team": TEAM}),
    Doing("/keys/{id}", "rotate", SET_KEYS, {"The old secret stays valid for": "7 days"}, ("Make a new secret",),
        "The key {n} has a new secret. The old one stays valid for: 7 days.", then="The previous secret",
        opens="Rotate", given=a_key, secret=True, posts={"overlap": "none"}),
    Doing("/keys/{id}", "revoke", SET_KEYS, {"Type its name to revoke it": "{n}"}, ("Revoke key",),
        "The key {n} was revoked: its next call is refused.", then="revoked", opens="Revoke", given=a_key,
        posts={"typed_name": "{n}"}),
    Doing("/budgets/new", "make", SET_BUDGETS,
        {"Name": "{n}", "Limit": "0.50", "Begins anew each": "day", "Team": TEAM}, ("Preview", "Set budget {n}"),
        "The budget {n} is set. It counts from the next call on.", then=f"0.5000 USD a day for team {TEAM}",
        posts={"name": "{n}", "limit": "5", "scope_team": TEAM, **MONEY}),
    Doing("/budgets/{name}", "change", SET_BUDGETS, {"Limit": "7.25", "Over the limit": "soft"},
        ("Preview", "Change budget"), "The budget {n} is changed, from the next call on.", then="7.25 USD a month",
        opens="Change", given=a_budget, posts={"limit": "7", **MONEY}),
    Doing("/budgets/{name}", "remove", SET_BUDGETS, {"Type its name to remove it": "{n}"}, ("Remove budget",),
        "The budget {n} was removed. It no longer refuses calls.", opens="Remove", given=a_budget,
        posts={"typed_name": "{n}"}),
    Doing("/teams", "make", ADMIN, {"Team": "{n}", "Customer that it may name": "{n}-customer"}, ("Add team",),
        "The team {n} may name the customer {n}-customer.", opens="Add a team",
        posts={"name": "{n}", "customer": "{n}-customer"}),
    Doing("/teams/{name}", "allow", ADMIN, {"Money a day": "12.50", "Events a day": "2000"}, ("Set allowance",),
        "The team {n} may report 12.50 USD a day.", then="2,000", opens="Change", given=a_team, posts={"money": "3"}),
    Doing("/teams/{name}", "forbid", ADMIN, {}, ("End its reports",), "The team {n} may no longer report usage.",
        then="It may not report usage", opens="Change", given=a_team),
    Doing("/teams/{name}", "share", ADMIN, {"Share another customer with it": "{n}-second"}, ("Share",),
        "The team {n} may name the customer {n}-second.", then="{n}-second", given=a_team,
        posts={"customer": "{n}-second"}),
    Doing("/teams/{name}", "unshare", ADMIN, {}, ("Take away {n}-customer",),
        "The team {n} may no longer name the customer {n}-customer.", then="No customer was shared with it.",
        given=a_team, posts={"customer": "{n}-customer"}),
    Doing("/customers", "make", SET_BUDGETS,
        {"Id": "{n}", "Name": "Acme", "Currency": "EUR", "Time zone": "Europe/Berlin", "Team": TEAM},
        ("Make customer",), "The customer {n} was made.", then="Europe/Berlin", opens="Make a customer",
        posts={"id": "{n}", "team": TEAM}),
    Doing("/customers/{name}", "change", SET_BUDGETS, {"Name": "Acme Ltd", "Currency": "JPY"}, ("Change customer",),
        "The customer {n} was changed.", then="JPY", opens="Change", given=a_made_customer,
        posts={"name": "Acme", "currency": "EUR", "timezone": "UTC", "own_team": TEAM}),
    Doing("/customers/{name}", "close", SET_BUDGETS, {"Type its id to close it": "{n}"}, ("Close customer",),
        "The customer {n} was closed: its next call is refused.", then="closed", opens="Close", given=a_made_customer,
        posts={"typed_name": "{n}"}),
    Doing("/customers/{name}", "share", ADMIN, {"Let another team name it": TEAM}, ("Share",),
        f"The team {TEAM} may name this customer.", then=TEAM, opens="Which teams may name it", given=a_customer,
        posts={"team": TEAM}),
    Doing("/customers/{name}", "unshare", ADMIN, {}, ("Take away from {n}",),
        "The team {n} may no longer name this customer.", opens="Which teams may name it", given=a_customer,
        posts={"team": "{n}"}),
    Doing("/prices/{name}", "state", ADMIN, {"Input": "2.5", "Output": "10"}, ("Add price",),
        "The price of {n} at in-house was added. It takes precedence over imported prices.", then="2.50",
        opens="Add a price", given=a_price, posts={"input": "2"}),
    Doing("/prices/{name}", "withdraw", ADMIN, {}, (f"Withdraw input tokens from {FUTURE.day} {FUTURE:%b %Y}",),
        "The announced price was withdrawn; the earlier price stays in force.", given=a_price),
    Doing("/prices/{name}", "correct", ADMIN, {}, ("Preview rating again", "Make 1 correction"),
        "One correction is in the books.", given=a_wrong_charge, posts={"rerate": "1"}),
    Doing("/explore", "save", ALL, {"Save this view as": "{n}"}, ("Save view",), "The view {n} was saved.", then="{n}",
        opens="Views", posts={"name": "{n}"}),
    Doing("/explore", "remove", ALL, {}, ("Remove the view {n}",), "The view {n} was removed.", opens="Views",
        given=a_view),
    Doing("/admins", "make", ADMIN, {"Name": "{n}", "Role": "finance"}, ("Make admin key",),
        "The admin key {n} was made, with the role finance.", then="{n}", opens="Make an admin key", secret=True,
        posts={"name": "{n}", "role": "viewer"}),
    Doing("/admins", "revoke", ADMIN, {"Type its name to revoke it": "{n}"}, ("Revoke admin key",),
        "The admin key {n} was revoked. Everybody who used it is signed out.", opens="Revoke an admin key",
        given=an_admin, posts={"typed_name": "{n}"}),
    Doing("/health", "prove", ("admin", "finance"), {}, ("Prove the books",),
        "The proof is running; its result will appear here.", then="proven everything agrees"),
    Doing("/health", "look", ("admin", "finance", "viewer"), {}, ("Look again",), "All checks are running again."),
)  # fmt: skip
