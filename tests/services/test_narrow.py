"""Reading what somebody may see."""

from typing import Any
from unittest.mock import create_autospec

import pytest
from tests.factories import WHO, event, hold

from pertoken.core.access import Hidden, View
from pertoken.ports.archive import Archive
from pertoken.ports.events import Posted, Search
from pertoken.services.narrow import NarrowArchive

WHOLE = (
    ("doubts", ()),
    ("newest_us", ()),
    ("posted_after", (0, 10)),
    ("last_number", ()),
    ("archived_entries", (None,)),
    ("budget_starts", ()),
    ("entry_costs", ()),
    ("damage", ()),
    ("postings", ()),
    ("balances", ()),
)


def test_what_is_found_of_others_is_refused() -> None:
    """An archive that finds more than the view asked for is not believed: nothing of it is shown."""
    archive = create_autospec(Archive, instance=True)
    own, other = (
        Posted((0, number), event(hold("call_1", attribution=WHO._replace(team=team))))
        for number, team in enumerate(("growth", "red"))
    )
    asked = Search({}, 0, 10**18, None, 10)
    narrow = NarrowArchive(archive, View(team="growth"))
    archive.search_events.return_value = [own, other]
    with pytest.raises(Hidden, match="not all of your own"):
        narrow.search_events(asked)

    archive.search_events.return_value = [own]
    assert narrow.search_events(asked) == [own]


@pytest.mark.parametrize(("method", "arguments"), WHOLE, ids=[name for name, _ in WHOLE])
@pytest.mark.parametrize("view", [View(team="growth"), View(customer="acme")], ids=["team", "customer"])
def test_what_cannot_be_split_is_for_the_whole_view(method: str, arguments: tuple[Any, ...], view: View) -> None:
    """What is about everybody is refused to who may see a part, before it is read, and passed on to who may see all."""
    archive = create_autospec(Archive, instance=True)
    with pytest.raises(Hidden, match="all teams and customers"):
        getattr(NarrowArchive(archive, view), method)(*arguments)
    assert getattr(archive, method).call_count == 0

    getattr(NarrowArchive(archive, View()), method)(*arguments)
    assert getattr(archive, method).call_count == 1
