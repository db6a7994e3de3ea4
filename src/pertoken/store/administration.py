"""Changes to keys, budgets, teams and trust in counts. A new budget starts with the usage already in its windows."""

from collections.abc import Callable, Collection, Iterable, Sequence

import sqlalchemy as sa

from pertoken.core import periods
from pertoken.core.access import Allowance, Reported
from pertoken.core.budgets import Budget, BudgetIndex
from pertoken.core.directory import Key
from pertoken.core.periods import TIMES_END_US, Window
from pertoken.core.prices import PriceRow
from pertoken.core.reporting import slices
from pertoken.core.verification import Counters, is_summed, spent_sum
from pertoken.ports import administration as port
from pertoken.store import catalog, directory, teams
from pertoken.store.amounts import spread
from pertoken.store.archive import Archive
from pertoken.store.ledger import put_counter
from pertoken.store.statement import POSTGRESQL, SQLITE


class Administration:
    """Works on one connection, inside the caller's transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def list_keys(self) -> list[Key]:
        """Return every virtual key, revoked ones too."""
        return directory.read_keys(self._connection)

    def add_key(self, key: Key) -> None:
        """Store a new key."""
        directory.add_key(self._connection, key)

    def revoke_key(self, key_id: str, at_us: int) -> bool:
        """Revoke a live key; tell whether there was one."""
        return directory.revoke_key(self._connection, key_id, at_us)

    def change_secret(self, key: Key) -> None:
        """Store a key's new secret, and until when the one before it is good."""
        directory.change_secret(self._connection, key)

    def budgets(self) -> list[Budget]:
        """Return the budgets in force."""
        return directory.read_budgets(self._connection)

    def add_budget(self, budget: Budget, at_us: int) -> None:
        """Store a new budget, its counters filled with what its windows hold and spent already. Raises EventsArchived.

        Events of the current window count; so do those opened before it that are still to be settled.
        """
        directory.add_budget(self._connection, budget, at_us)
        archive = Archive(self._connection)
        holds = archive.open_holds()
        sums = Counters(BudgetIndex([budget]))
        for hold in holds:
            sums.add_hold(hold)
        times_us = (at_us, *(hold.opened_at_us for hold in holds))
        for start_us, end_us in {periods.bounds(budget.window, one, budget.zone) for one in times_us}:
            _add_spent(sums, archive, budget, start_us, min(end_us, TIMES_END_US))
        sql = SQLITE if self._connection.dialect.name == "sqlite" else POSTGRESQL
        rows = [(*key, *spread(amounts)) for key, amounts in sums.sums().items()]
        put_counter(sql).run(self._connection.connection.cursor(), rows)

    def change_budget(self, budget: Budget) -> None:
        """Change limit and mode of a budget; its counters stay."""
        directory.change_budget(self._connection, budget)

    def remove_budget(self, budget_id: str, at_us: int) -> None:
        """Remove a budget."""
        directory.remove_budget(self._connection, budget_id, at_us)

    def reset_trust(self, provider: str, model: str) -> bool:
        """Believe the count of a model again as if it was never contradicted; tell whether it was."""
        return directory.reset_trust(self._connection, provider, model)

    def owners(self, customer: str) -> frozenset[str]:
        """Return the teams that may name a customer; the empty text stands for none. Nobody: it is new."""
        return teams.owners(self._connection, customer)

    def share(self, customer: str, team: str) -> None:
        """Let a team name a customer, beside those that may already."""
        if teams.share(self._connection, customer, team):
            directory.bump_revision(self._connection)

    def unshare(self, customer: str, team: str) -> bool:
        """Stop a team from naming a customer, from its next call on; return whether it could."""
        could = teams.unshare(self._connection, customer, team)
        if could:
            directory.bump_revision(self._connection)
        return could

    def customers_of(self, team: str) -> list[str]:
        """Return the customers for which it was said that the team may name them."""
        return teams.customers_of(self._connection, team)

    def teams(self) -> list[str]:
        """Return every team that has a key, an allowance or a customer of its own."""
        return teams.known_teams(self._connection)

    def allowance(self, team: str) -> Allowance | None:
        """Return what a team may report a day, None where it may report nothing."""
        return teams.allowance(self._connection, team)

    def set_allowance(self, team: str, given: Allowance | None, at_us: int) -> None:
        """Let a team report so much a day from now on."""
        teams.set_allowance(self._connection, team, given, at_us)

    def reported(self, team: str, day_us: int) -> Reported:
        """Return what a team has reported on the day (UTC) that begins then."""
        return teams.reported(self._connection, team, day_us)

    def set_reported(self, team: str, day_us: int, sums: Reported) -> None:
        """Write what a team has reported on a day."""
        teams.set_reported(self._connection, team, day_us, sums)

    def known_events(self, named: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Return those of (source, event id) that are in the books."""
        return teams.known_events(self._connection, named)

    def price_rows(self) -> list[PriceRow]:
        """Return every price row, also those that newer rows replaced."""
        return catalog.read_rows(self._connection, superseded=True)

    def change_prices(self, added: Sequence[PriceRow], superseded: Collection[str], at_us: int) -> int:
        """Take rows out of use by their ids, and add those that are not there yet; return how many were new."""
        catalog.supersede(self._connection, superseded, at_us)
        return catalog.add_rows(self._connection, added)


def _add_spent(sums: Counters, archive: Archive, budget: Budget, start_us: int, end_us: int) -> None:
    """Add what a budget's window [start, end) has spent: from roll-ups where they can say it, else from events."""
    if not is_summed(budget):
        minute = budget.window is Window.MINUTE
        read = archive.events_by_time if minute else archive.conversation_events
        for event in read(start_us, end_us):
            sums.add_event(event)
        return
    each = () if budget.each is None else (budget.each,)
    for piece in slices(start_us, end_us, (), "UTC"):
        for row in archive.sums(piece, each, dict(budget.scope)):
            spent = spent_sum(budget, start_us, row)
            if spent is not None:
                sums.add_spent(*spent)


OPENS: Callable[[sa.Connection], port.Administration] = Administration
