"""What is stored in place of a secret: a hash under a key that is not in the database."""

import hashlib
import hmac

KEY_BYTES_MIN = 32
MEMORY_MAX = 10_000


class Hasher:
    """Hashes secrets under the installation's secret key (HMAC-SHA-256, RFC 2104).

    Whoever copies the database can neither find a secret by trying (a secret has 160 random bits) nor make a row that a
    secret of theirs would match. A hash may therefore be looked up like any other text: how long that takes tells only
    of hashes, which nobody can aim at without the secret key.
    """

    def __init__(self, secret_key: bytes) -> None:
        assert len(secret_key) >= KEY_BYTES_MIN, len(secret_key)
        self._secret_key = secret_key
        self._memory: dict[bytes, bytes] = {}

    def hash(self, secret: bytes) -> bytes:
        """Return what is stored in place of a secret, 32 bytes. Remembering the last ones saves 2 us a call."""
        known = self._memory.get(secret)
        if known is None:
            if len(self._memory) >= MEMORY_MAX:
                self._memory.clear()
            known = self._memory[secret] = hmac.digest(self._secret_key, secret, hashlib.sha256)
        return known

    @property
    def check(self) -> bytes:
        """What tells this secret key from another, and nothing else about it."""
        return self.hash(b"pertoken: which secret key is this?")


def is_same(one: bytes, other: bytes) -> bool:
    """Compare two hashes in a time that does not depend on them."""
    return hmac.compare_digest(one, other)
