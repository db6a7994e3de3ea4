"""What of the stored rows a view shows."""

import pytest

from pertoken.core.access import View
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
