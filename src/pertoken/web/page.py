"""What a page is, and what it is asked: one row a page, as the control plane has one row a route."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from pertoken.core.access import Action, Principal, View, may
from pertoken.ports.store import Opened
from pertoken.web.ranges import Range
from pertoken.web.site import Site

KEPT = ("range", "since", "until", "tz")  # of an address: they go along from page to page
Context = dict[str, Any]


class NotHere(Exception):
    """There is nothing of that name, or it may not be seen."""


class NotTaken(Exception):
    """A form cannot be taken as it was sent; `field` names what is wrong in it."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Visit(NamedTuple):
    """One request for a page, from somebody who may see it."""

    site: Site
    principal: Principal
    view: View
    csrf: str
    path: str
    query: Mapping[str, str]
    range: Range
    now_us: int
    opened: Opened  # shows only what may be seen
    name: str = ""  # the part of the path that names one thing
    typed: Mapping[str, str] = {}  # into a form that was not taken
    wrong: NotTaken | None = None  # why not

    @property
    def zone(self) -> str:
        """The time zone of all that is shown."""
        return self.range.zone

    def may(self, action: Action) -> bool:
        """Tell whether the visitor may take an action."""
        return may(self.principal, action)

    def link(self, path: str, **changes: str | None) -> str:
        """Return the address of another page over the same range of time."""
        kept = {name: self.query[name] for name in KEPT if name in self.query}
        return _address(path, {**kept, **changes})

    def here(self, **changes: str | None) -> str:
        """Return the address of this page with some of its state changed; None takes a part away."""
        return _address(self.path, {**self.query, **changes})


def place(path: str, name: str) -> str:
    """Return the path of one thing beneath `path`: its name may have any character."""
    return f"{path}/{quote(name, safe='')}"


def _address(path: str, query: Mapping[str, str | None]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


class Done(NamedTuple):
    """A change was made: where to go on, and what to say there."""

    path: str
    said: str
    secret: str | None = None  # shown this once, and kept nowhere


class Deed(NamedTuple):
    """A change that a form of a page asks for: it is sent to the page's own path, with the name of the deed."""

    name: str
    action: Action
    do: Callable[[Visit, Mapping[str, str]], Done]  # raises NotTaken, NotHere
    records: bool = False  # it records events, in transactions of the books; the visit then only reads


class Page(NamedTuple):
    """One page."""

    path: str
    title: str
    action: Action  # that its visitors may take
    show: Callable[[Visit], Context]  # what its template shows; raises NotHere
    template: str
    group: str | None = None  # of the navigation; None: it is reached from another page
    parent: str | None = None  # the path of that page
    deeds: tuple[Deed, ...] = ()

    @property
    def parameter(self) -> str | None:
        """The name of the part of the path that names one thing."""
        return self.path.partition("{")[2].partition("}")[0] or None
