"""The frame of every page: navigation, breadcrumbs, range of time and user. Also loads the templates."""

import shlex
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any, NamedTuple

import jinja2

from pertoken.web import grid, shown
from pertoken.web.page import Page, Visit, place
from pertoken.web.ranges import NAMED

GROUPS = ("Observe", "Control", "Charge", "Operate")
THEMES = ("system", "light", "dark")


class Crumb(NamedTuple):
    """One breadcrumb."""

    title: str
    address: str | None


def crumbs(page: Page, pages: Sequence[Page], visit: Visit) -> list[Crumb]:
    """Return the breadcrumbs of a page."""
    way = [Crumb(shown.name(visit.name).text if page.parameter else page.title, None)]
    parent = page.parent
    while parent is not None:
        above = next(one for one in pages if one.path == parent)
        way.insert(0, Crumb(above.title, visit.link(above.path) if visit.may(above.action) else None))
        parent = above.parent
    return way


def navigation(pages: Sequence[Page], visit: Visit) -> list[tuple[str, list[Page]]]:
    """Return the pages that the visitor may see, by group."""
    groups = [(name, [page for page in pages if page.group == name and visit.may(page.action)]) for name in GROUPS]
    return [(name, found) for name, found in groups if found]


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Return the templates; every value in them is escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("pertoken.web"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["shell"] = shlex.quote
    made.globals.update(shown=shown, Cells=grid.Cells, static=static, place=place, ranges=NAMED, themes=THEMES)
    return made


@lru_cache(maxsize=64)
def static(name: str) -> str:
    """Return the address of a static file. It changes with the content, so browsers may cache the file for ever."""
    content = (files("pertoken.web") / "static" / name).read_bytes()
    return f"/static/{name}?v={blake2b(content, digest_size=6).hexdigest()}"


def render(template: str, **context: Any) -> str:
    """Return a rendered template."""
    return environment().get_template(template).render(**context)
