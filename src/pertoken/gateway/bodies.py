"""Limits the bytes of request bodies that one process keeps, in all and for each key.

A body counts from its first byte until its call is answered. Small bodies are not counted, because there is at most one
for each connection.
"""

import ctypes

UNCOUNTED_BYTES = 64 * 1024
RETRY_AFTER_S = 1

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt(3)
_MAPPED_BYTES = 512 * 1024  # blocks of this size or more are mapped
_SPARE_BYTES = 16 * 1024 * 1024  # freed memory kept for the next calls, which would otherwise ask for it again


class Bodies:
    """The count of one process: bytes in all, and bytes of each key."""

    def __init__(self, most: int, most_of_a_key: int) -> None:
        self._most = most
        self._most_of_a_key = most_of_a_key
        self.bytes = 0
        self.of_key: dict[str, int] = {}

    def take(self, key_id: str, size: int) -> str | None:
        """Add `size` bytes for a key and return None, or return why there is no room for them."""
        of_key = self.of_key.get(key_id, 0) + size
        if of_key > self._most_of_a_key:
            return f"limits.key_bodies_bytes_max: this key's unanswered requests have {self._most_of_a_key} bytes"
        if self.bytes + size > self._most:
            return f"limits.bodies_bytes_max: all unanswered requests have {self._most} bytes"
        self.bytes += size
        self.of_key[key_id] = of_key
        return None

    def give_back(self, key_id: str, size: int) -> None:
        """Subtract `size` bytes of a key."""
        self.bytes -= size
        left = self.of_key[key_id] - size
        if left:
            self.of_key[key_id] = left
        else:
            del self.of_key[key_id]


def return_memory_at_once() -> None:
    """Make glibc map each large block of memory on its own, so that it returns to the system when it is freed.

    By default, after one such block was freed, glibc keeps blocks of up to 32 MB for later use.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _SPARE_BYTES)
