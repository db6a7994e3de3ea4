"""Bodies that would take a parser long: too many bytes, or too many values."""

from typing import Any

BYTES_MAX = 1024 * 1024  # beyond this, or so many values, reading takes over 5 ms
VALUES_MAX = 10_000


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


def is_heavy(size: int, values_bound: int) -> bool:
    """Tell whether a body is better read apart."""
    return size > BYTES_MAX or values_bound > VALUES_MAX
