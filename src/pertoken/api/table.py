"""Every route of the control plane: the `ROUTES` of each module in `api.routes`."""

import importlib
import pkgutil
from collections.abc import Iterator

from pertoken.api import routes
from pertoken.api.route import Route, check
from pertoken.core.access import Action


def _collect() -> Iterator[Route]:
    """Yield the routes, module by module. Modules are ordered by the action of their first route."""
    names = [one.name for one in pkgutil.iter_modules(routes.__path__, f"{routes.__name__}.")]
    found: list[tuple[Route, ...]] = [importlib.import_module(name).ROUTES for name in sorted(names)]
    places = list(Action)
    for some in sorted(found, key=lambda some: places.index(some[0].action)):
        yield from some


ROUTES = check(_collect())
