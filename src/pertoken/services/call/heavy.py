"""Bodies that would take a parser long: too many bytes, or too many values."""

from typing import Any

from pertoken.wire import structure

# Beyond so many bytes, or so many values, the steps of a call may take over 5 ms to read a body: 512 KB of escaped
# quotes take 4.5 ms, 3,000 values of tiny pictures 4 ms.
BYTES_MAX = 512 * 1024
VALUES_MAX = 3_000


class Heavy:
    """A body that is read in a process of its own, and what that found in it.

    `key_id` says whose turn reading it takes. `values_max` is how much structure it may have.
    """

    __slots__ = ("_other", "body", "key_id", "known", "values_max")

    def __init__(self, body: bytes, key_id: str, values_max: int) -> None:
        self.body = body
        self.key_id = key_id
        self.values_max = values_max
        self.known: dict[tuple[str, tuple[Any, ...]], Any] = {}
        self._other: Heavy | None = None

    def like(self, body: bytes) -> "Heavy":
        """Return the same for another body of the request; asked again, the one that was returned before."""
        if body is self.body:
            return self
        if self._other is None or self._other.body is not body:
            self._other = Heavy(body, self.key_id, self.values_max)
        return self._other


def is_heavy(body: bytes, values_bound: int) -> bool:
    """Tell whether a body is better read apart. The bound also counts the commas of texts, so a high one is checked."""
    if len(body) > BYTES_MAX:
        return True
    return values_bound > VALUES_MAX and structure.count_values(body, VALUES_MAX) > VALUES_MAX
