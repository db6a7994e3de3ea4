"""What the browser tests name, against what there is. It needs no browser."""

from tests.browser.table import ALL, DOINGS, HIDDEN, SEES

from pertoken.core.access import Role
from pertoken.web.table import PAGES


def test_every_page_has_a_row() -> None:
    """Each page is in the table of who sees what, and no other is; only what is there is hidden."""
    assert {page.path for page in PAGES} == SEES.keys()
    assert HIDDEN.keys() <= SEES.keys()


def test_every_action_has_a_row() -> None:
    """Each form of each page is in the table of actions, once, and no other is."""
    there = sorted((page.path, deed.name) for page in PAGES for deed in page.deeds)

    assert sorted((doing.page, doing.deed) for doing in DOINGS) == there


def test_every_role_is_tried() -> None:
    """The roles of the browser tests are the roles that there are."""
    assert set(ALL) == set(Role)
