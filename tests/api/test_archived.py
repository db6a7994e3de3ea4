"""What is archived, seen from the control plane."""

from pathlib import Path

from tests.api.conftest import Api, event, fresh

from pertoken.core.access import Role
from pertoken.core.periods import parse_time
from pertoken.core.price_book import Sellers
from pertoken.services.archiving import archive
from pertoken.store.bookkeeper import Bookkeeper
from pertoken.store.month_files import MonthFolder
from pertoken.store.months import DatabaseMonths


def test_usage_stays_and_a_call_is_gone_by_name(api: Api, tmp_path: Path) -> None:
    """Usage is as it was; a range that cuts a quarter of an hour there is refused; who may see all learns the file."""
    team = fresh("team")
    reported = event(team=team, at="2001-01-15T10:07:00Z")
    assert api("POST", "/api/v1/events", reported).status == 200
    query = {"since": "2001-01-01", "until": "2001-01-31", "by": "team,day"}
    before = api("GET", "/api/v1/usage", query=query).json
    months = DatabaseMonths(api.database, lambda: Bookkeeper(api.database, lambda: 0, Sellers()))
    folder = MonthFolder(tmp_path, "test")
    done = list(archive(months, folder, parse_time("2001-02-01"), parse_time("2026-11-01"), lambda: None))

    assert sum(one.moved for one in done) >= 1
    assert api("GET", "/api/v1/usage", query=query).json == before
    cut = api("GET", "/api/v1/usage", query={**query, "since": "2001-01-15T10:05:00Z"})
    assert (cut.status, cut.json["code"]) == (400, "invalid_parameter")
    assert str(tmp_path) not in cut.raw.decode()
    split = api("GET", "/api/v1/usage", query={**query, "by": "conversation"})
    assert (split.status, split.json["code"]) == (400, "invalid_parameter")
    listed = api("GET", "/api/v1/calls", query={"since": "2001-01-01", "until": "2001-01-31", "team": team}).json
    assert (listed["calls"], listed["archived"]) == ([], ["2001-01"])
    gone = api("GET", f"/api/v1/calls/{reported['id']}")
    assert (gone.status, "2001-01.parquet" in gone.json["message"]) == (404, True)
    owner = api.as_role(Role.TEAM_OWNER, fresh("team"))("GET", f"/api/v1/calls/{reported['id']}")
    assert (owner.status, "parquet" in owner.raw.decode()) == (404, False)
    again = api("POST", "/api/v1/events", [reported]).json
    assert (again["accepted"], again["duplicate"]) == (0, 1)
    assert api.differences() == []
