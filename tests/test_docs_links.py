"""Every link of a page leads somewhere, and every file that a page or a message names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")])
SOURCES = sorted([*ROOT.glob("src/pertoken/**/*.py"), *ROOT.glob(".ci/*.py")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGE_NAMED = re.compile(r"\bdocs/[\w./-]+\.md\b")
FILE_NAMED = re.compile(r"`(?:pytest )?((?:docs|src|tests|bench|\.ci)/[\w./-]*\w)(?:`| )")


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def without_code(text: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    return {slug(line.lstrip("#")) for line in without_code(page.read_text()).splitlines() if line.startswith("#")}


def broken(page: Path, target: str) -> bool:
    """Tell whether a link of a page leads nowhere. Addresses on the web are not asked."""
    if re.match(r"[a-z]+:", target):
        return False
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    return not file.exists() or (bool(anchor) and anchor not in anchors(file))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page: Path) -> None:
    """Each link between pages names a file that is there, and a heading of it."""
    links = LINK.findall(without_code(page.read_text()))

    assert [target for target in links if broken(page, target)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_file_that_a_page_names_is_there(page: Path) -> None:
    """What stands in a page as a path of this project is a file or a folder of it."""
    named = FILE_NAMED.findall(page.read_text())

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_each_page_that_a_message_names_is_there() -> None:
    """Messages and docstrings send readers to pages that exist."""
    named = {page for source in SOURCES for page in PAGE_NAMED.findall(source.read_text())}

    assert {page for page in named if not (ROOT / page).exists()} == set()
    assert "docs/how-to/keys.md" in named


@pytest.mark.parametrize(
    ("target", "dead"),
    [
        ("docs/concepts/safety.md", False),
        ("docs/concepts/safety.md#not-promised", False),
        ("https://example.com/no/such/page", False),
        ("docs/concepts/no-such-page.md", True),
        ("docs/concepts/safety.md#no-such-heading", True),
        ("#no-such-heading", True),
    ],
)
def test_a_dead_link_is_found(target: str, dead: bool) -> None:
    """A link to no file, or to no heading of a file, is dead."""
    assert broken(ROOT / "README.md", target) == dead


def test_the_readme_links_every_concept() -> None:
    """A page on a concept that README does not link is not found by its reader."""
    readme = (ROOT / "README.md").read_text()

    assert [page for page in ROOT.glob("docs/concepts/*.md") if f"](docs/concepts/{page.name})" not in readme] == []


def test_no_table_is_split() -> None:
    """A blank line inside a table ends it, and what follows is no table any more."""
    split = re.compile(r"^\|.*\|\n\n\|(?!.*\|\n\|[-| :]+\|\n).*\|$", re.MULTILINE)

    assert split.search("| a |\n|---|\n| b |\n\n| c |\n")
    assert [str(page.relative_to(ROOT)) for page in PAGES if split.search(page.read_text())] == []
