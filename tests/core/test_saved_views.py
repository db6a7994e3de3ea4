"""Who may use and remove a saved view."""

import pytest

from pertoken.core.access import Principal, Role, View
from pertoken.core.saved_views import SavedView

ANN = Principal("ann", "Ann", Role.VIEWER)
OF_TEAM = Principal("tom", "Tom", Role.TEAM_OWNER, team="t")
VIEW = SavedView("view_1", "v", "by=model", "ann", "Ann", View(), False, 0)


@pytest.mark.parametrize(
    ("shared", "who", "uses", "removes"),
    [
        (False, ANN, True, True),
        (False, Principal("root", "Root", Role.ADMIN), False, False),
        (True, Principal("root", "Root", Role.ADMIN), True, True),
        (True, Principal("fay", "Fay", Role.FINANCE), True, False),
        (True, OF_TEAM, False, False),
        (True, Principal("cus", "Cus", Role.CUSTOMER, customer="c"), False, False),
    ],
)
def test_who_uses_and_removes_a_view(shared: bool, who: Principal, uses: bool, removes: bool) -> None:
    """Its owner always; of a shared one, who sees as much uses it, and an admin of these removes it."""
    saved = VIEW._replace(is_shared=shared)

    assert (saved.is_for(who), saved.may_be_removed_by(who)) == (uses, removes)
