"""What teams may name and report is what was said of them."""

from tests.store import history

from pertoken.core.access import NOTHING, Allowance, Reported
from pertoken.core.budgets import Attribution
from pertoken.core.directory import Key
from pertoken.core.periods import DAY_US
from pertoken.store import directory, teams
from pertoken.store.database import Database

SOME = Reported(10**24 + 3, 2**40, 2**60)


def named(*pairs: tuple[str | None, str]) -> list[Attribution]:
    """Return attributions of (team, customer), with model and provider."""
    return [Attribution(None, team, customer, None, "openai", "gpt-4o") for team, customer in pairs]


def use(database: Database, *pairs: tuple[str | None, str]) -> None:
    """Record a call of each team that names a customer, one after the other."""
    some = history.made(1, 50)[: len(pairs)]
    history.record(database, [one._replace(attribution=who) for one, who in zip(some, named(*pairs), strict=True)])


def test_a_customer_is_of_the_team_that_named_it_first(database: Database) -> None:
    """Until more is said it is the first one's, or the operator's after a call of no team; a new one is nobody's."""
    use(database, ("red", "acme"), ("blue", "acme"), (None, "globex"), ("red", "globex"), ("red", ""))

    with database.read() as connection:
        assert teams.owners(connection, "acme") == {"red"}
        assert teams.owners(connection, "globex") == {""}
        assert teams.owners(connection, "new") == teams.owners(connection, "") == frozenset()


def test_a_shared_customer_stays_with_those_that_had_it(database: Database) -> None:
    """Sharing adds a team beside the first; to say it again is nothing new."""
    use(database, ("red", "acme"))
    with database.write() as connection:
        assert teams.share(connection, "acme", "blue")
        assert not teams.share(connection, "acme", "blue")
        assert teams.share(connection, "zeta", "blue")

        assert teams.owners(connection, "acme") == {"red", "blue"}
        assert teams.read_shares(connection) == {"acme": {"red", "blue"}, "zeta": {"blue"}}
        assert teams.customers_of(connection, "blue") == ["acme", "zeta"]
        assert teams.customers_of(connection, "red") == ["acme"]


def test_a_customer_that_nobody_may_name_is_the_operators(database: Database) -> None:
    """A team that may not name it takes nothing away, and the last one that goes leaves it to no team."""
    use(database, ("red", "acme"))
    with database.write() as connection:
        assert not teams.unshare(connection, "acme", "blue")
        assert teams.owners(connection, "acme") == {"red"}
        assert teams.unshare(connection, "acme", "red")
        assert teams.owners(connection, "acme") == {""}
        assert teams.share(connection, "acme", "blue")
        assert teams.unshare(connection, "acme", "")
        assert teams.owners(connection, "acme") == {"blue"}


def test_a_team_is_known_by_any_of_three(database: Database) -> None:
    """A key, an allowance or a customer make a team known, once; no team is none."""
    with database.write() as connection:
        for number, team in enumerate(("keyed", "both", None)):
            directory.add_key(connection, Key(f"k{number}", "k", bytes([number]), "x", team))
        teams.set_allowance(connection, "both", Allowance(SOME), 1)
        teams.set_allowance(connection, "allowed", Allowance(SOME), 1)
        teams.share(connection, "acme", "sharing")
        teams.share(connection, "acme", "")

        assert teams.known_teams(connection) == ["allowed", "both", "keyed", "sharing"]


def test_an_allowance_and_what_was_reported_come_back(database: Database) -> None:
    """Both are as they were set last, of each team and day; reports of more than a day before are forgotten."""
    with database.write() as connection:
        for given in (Allowance(SOME, "EUR"), None, Allowance(NOTHING)):
            teams.set_allowance(connection, "red", given, 1)
            assert teams.allowance(connection, "red") == given
        for team, day in (("red", 1), ("blue", 1), ("red", 2)):
            teams.set_reported(connection, team, day * DAY_US, SOME)
        teams.set_reported(connection, "red", 2 * DAY_US, SOME._replace(events=5))
        two_days = [teams.reported(connection, "red", day * DAY_US) for day in (1, 2)]
        teams.set_reported(connection, "red", 3 * DAY_US, SOME)

        assert two_days == [SOME, SOME._replace(events=5)]
        assert teams.reported(connection, "red", DAY_US) == teams.reported(connection, "green", DAY_US) == NOTHING
        assert teams.reported(connection, "red", 2 * DAY_US).events == 5
        assert teams.reported(connection, "blue", DAY_US) == SOME


def test_many_events_are_looked_up_by_both_names(database: Database) -> None:
    """Those that are in the books are found among more than one statement asks for; the source is part of a name."""
    made = history.made(2, teams.NAMED_MAX + 50)
    history.record(database, made)
    there = {(one.source, one.event_id) for one in made}
    others = {("nobody", event_id) for _, event_id in there}

    with database.read() as connection:
        assert teams.known_events(connection, sorted(there | others)) == there
        assert teams.known_events(connection, []) == set()
