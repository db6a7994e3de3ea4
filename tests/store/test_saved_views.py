"""Saved views of Explore in the database."""

from pertoken.core.access import View
from pertoken.core.saved_views import SavedView
from pertoken.store.database import Database
from pertoken.store.saved_views import SavedViews

BEE = SavedView("view_2", "bee", "by=model", "admin_1", "ann", View(), False, 5)
ANT = SavedView("view_1", "ant", "by=team", "admin_2", "ben", View(team="t"), True, 6)
CAT = SavedView("view_3", "cat", "", "admin_2", "ben", View(customer="c"), True, 7)


def test_views_are_kept_as_they_are(database: Database) -> None:
    """Views are listed by name, each as it was kept, until it is removed."""
    with database.write() as connection:
        views = SavedViews(connection)
        for one in (BEE, ANT, CAT):
            views.add(one)

        assert views.list_all() == [ANT, BEE, CAT]
        views.remove("view_2")
        views.remove("nothing")
        assert views.list_all() == [ANT, CAT]
