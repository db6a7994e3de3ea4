"""The description of a page, and of one request for it. Each page is one row, like a route of the control plane."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from pertoken.core.access import Action, Principal, View, may
from pertoken.ports.store import Opened
from pertoken.web.ranges import Range
from pertoken.web.site import Site

KEPT = ("range", "since", "until", "tz")  # parts of the address that links to other pages keep
PageContext = dict[str, Any]


class NotHere(Exception):
    """Nothing has that name, or the visitor may not see it."""


class NotTaken(Exception):
    """A form was refused; `field` names its wrong field."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Visit(NamedTuple):
    """One request for a page, by a visitor who may see it."""

    site: Site
    principal: Principal
    view: View
    csrf: str
    path: str
    query: Mapping[str, str]
    range: Range
    now_us: int
    opened: Opened  # shows only what the visitor may see
    name: str = ""  # the part of the path that names one object
    typed: Mapping[str, str] = {}  # values of a refused form
    wrong: NotTaken | None = None  # why the form was refused

    @property
    def zone(self) -> str:
        """The time zone of everything that is shown."""
        return self.range.zone

    def may(self, action: Action) -> bool:
        """Tell whether the visitor may take an action."""
        return may(self.principal, action)

    def link(self, path: str, **changes: str | None) -> str:
        """Return the address of another page over the same range of time."""
        kept = {name: self.query[name] for name in KEPT if name in self.query}
        return _address(path, {**kept, **changes})

    def here(self, **changes: str | None) -> str:
        """Return the address of this page with some parts changed; None removes a part."""
        return _address(self.path, {**self.query, **changes})


def place(path: str, name: str) -> str:
    """Return the path of one object below `path`; its name may have any character."""
    return f"{path}/{quote(name, safe='')}"


def _address(path: str, query: Mapping[str, str | None]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


class Done(NamedTuple):
    """A change was made: the page to show next, and the message on it."""

    path: str
    said: str
    secret: str | None = None  # shown only once, and not stored


class Deed(NamedTuple):
    """A change that a form of a page requests. The form is sent to the page's own path, with the name of the deed."""

    name: str
    action: Action
    do: Callable[[Visit, Mapping[str, str]], Done]  # raises NotTaken, NotHere
    records: bool = False  # the deed records events in transactions of its own, and the visit's transaction only reads


class Page(NamedTuple):
    """One page."""

    path: str
    title: str
    action: Action  # the action that its visitors must be allowed to take
    show: Callable[[Visit], PageContext]  # returns the values for its template; raises NotHere
    template: str
    group: str | None = None  # its group in the navigation; None if it is reached from another page
    parent: str | None = None  # the path of the page that leads here
    deeds: tuple[Deed, ...] = ()

    @property
    def parameter(self) -> str | None:
        """The parameter of the path: the part that names one object."""
        return self.path.partition("{")[2].partition("}")[0] or None
