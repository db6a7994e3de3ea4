"""Looking at a budget while it is spent: all the time, from outside, in one consistent view each time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.crash.house import House, Sample

from pertoken.store.archive import Archive

SAMPLE_S = 0.03


class Sampler:
    """Looks at one money budget all the time, from another connection, in one consistent view."""

    def __init__(self, house: House, key_id: str, name: str) -> None:
        self._house = house
        self._key_id = key_id
        self._name = name
        self._ended = threading.Event()
        self.samples: list[Sample] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample while the block runs."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            self.look()

    def check(self, limit_picos: int) -> int:
        """Assert that the counter always said what the events and holds said, and never more than the limit.

        Return the most that was ever spent and held together.
        """
        assert all(one.held == one.held_by_holds and one.spent == one.spent_by_events for one in self.samples)
        most = max(one.held + one.spent for one in self.samples)
        assert most <= limit_picos
        return most

    def look(self) -> Sample:
        """Take a sample."""
        with self._house.may_look, self._house.read() as connection:
            budget = next(one for one in Archive(connection).budgets() if one.name == self._name)
            sample = self._house.sample(connection, self._key_id, budget.budget_id)
        self.samples.append(sample)
        return sample

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.look()
