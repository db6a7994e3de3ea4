"""What of the stored rows a view shows."""

import pytest

from pertoken.core.access import Hidden, Principal, Role, View, view
from pertoken.core.budgets import Attribution


@pytest.mark.parametrize(
    ("view", "attribution", "seen"),
    [
        (View(), Attribution(), True),
        (View(), Attribution(team="red", customer="acme"), True),
        (View(team="red"), Attribution(team="red"), True),
        (View(team="red"), Attribution(team="red", customer="acme"), True),
        (View(team="red"), Attribution(team="blue"), False),
        (View(team="red"), Attribution(), False),
        (View(customer="acme"), Attribution(customer="acme"), True),
        (View(customer="acme"), Attribution(team="red", customer="acme"), True),
        (View(customer="acme"), Attribution(customer="zeta"), False),
        (View(customer="acme"), Attribution(team="red"), False),
        (View(customer="acme"), Attribution(), False),
        (View(team="red", customer="acme"), Attribution(team="red", customer="zeta"), False),
        (View(team="red", customer="acme"), Attribution(team="blue", customer="acme"), False),
    ],
)
def test_a_view_shows_its_own_alone(view: View, attribution: Attribution, seen: bool) -> None:
    """A team sees what is its own, a customer what is its own, and only the whole view what belongs to nobody."""
    assert view.sees(attribution) is seen


@pytest.mark.parametrize(
    ("role", "team", "customer", "seen"),
    [
        (Role.ADMIN, None, None, View()),
        (Role.VIEWER, None, None, View()),
        (Role.TEAM_OWNER, "red", None, View(team="red")),
        (Role.CUSTOMER, None, "acme", View(customer="acme")),
        (Role.TEAM_OWNER, None, None, None),
        (Role.TEAM_OWNER, "", None, None),
        (Role.TEAM_OWNER, "red", "acme", None),
        (Role.CUSTOMER, None, None, None),
        (Role.CUSTOMER, None, "", None),
        (Role.CUSTOMER, "red", None, None),
        (Role.VIEWER, "red", None, None),
        (Role.ADMIN, None, "acme", None),
    ],
)
def test_who_sees_what_is_said_by_role_and_name(
    role: Role, team: str | None, customer: str | None, seen: View | None
) -> None:
    """A key whose role and names do not go together is refused, and sees nothing rather than everything."""
    principal = Principal("a_1", "ada", role, team, customer)

    if seen is None:
        with pytest.raises(Hidden, match="ada may see nothing: the role"):
            view(principal)
    else:
        assert view(principal) == seen
