"""How many bytes of request bodies one process keeps: in all, and for each key.

A body counts from its first byte until its call is answered. Small ones are not counted: there are at most as many of
them as connections.
"""

import ctypes

UNCOUNTED_BYTES = 64 * 1024
RETRY_AFTER_S = 1

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)
_MAPPED_BYTES = 512 * 1024  # blocks of this size are mapped
_SPARE_BYTES = 16 * 1024 * 1024  # of smaller blocks are kept for the next calls, for every page given back is asked for


class Bodies:
    """The account of one process."""

    def __init__(self, most: int, most_of_a_key: int) -> None:
        self._most = most
        self._most_of_a_key = most_of_a_key
        self.bytes = 0
        self.of_key: dict[str, int] = {}

    def take(self, key_id: str, size: int) -> str | None:
        """Count so many more bytes for a key, or return why there is no room for them."""
        of_key = self.of_key.get(key_id, 0) + size
        if of_key > self._most_of_a_key:
            return f"limits.key_bodies_bytes_max: this key's unanswered requests have {self._most_of_a_key} bytes"
        if self.bytes + size > self._most:
            return f"limits.bodies_bytes_max: all unanswered requests have {self._most} bytes"
        self.bytes += size
        self.of_key[key_id] = of_key
        return None

    def give_back(self, key_id: str, size: int) -> None:
        """Stop counting so many bytes of a key."""
        self.bytes -= size
        left = self.of_key[key_id] - size
        if left:
            self.of_key[key_id] = left
        else:
            del self.of_key[key_id]


def return_memory_at_once() -> None:
    """Have large blocks of memory mapped one by one, so that each goes back to the system when it is freed.

    By itself, glibc keeps blocks of up to 32 MB for later once one such block was freed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _SPARE_BYTES)
