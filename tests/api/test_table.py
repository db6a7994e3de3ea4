"""The table has the routes of every module, in a fixed order."""

import importlib
from itertools import groupby
from pathlib import Path

from pertoken.api import routes
from pertoken.api.table import ROUTES
from pertoken.core.access import Action

MODULES = sorted(path.stem for path in Path(routes.__file__).parent.glob("*.py") if path.stem != "__init__")
OF_MODULES = [importlib.import_module(f"{routes.__name__}.{name}").ROUTES for name in MODULES]


def test_each_route_is_in_the_table_once() -> None:
    """A module in the folder needs no row of its own anywhere: its routes are in the table."""
    assert MODULES
    assert sorted(ROUTES, key=repr) == sorted((one for some in OF_MODULES for one in some), key=repr)


def test_the_order_is_that_of_actions() -> None:
    """The routes of a module stay together in their order; modules come in the order of their first actions."""
    owner = {(one.method, one.path): some for some in OF_MODULES for one in some}
    groups = [(some, list(found)) for some, found in groupby(ROUTES, lambda one: owner[one.method, one.path])]
    actions = list(Action)
    places = [actions.index(found[0].action) for _, found in groups]

    assert [tuple(found) for _, found in groups] == [some for some, _ in groups]
    assert len(groups) == len(MODULES)
    assert places == sorted(places)
