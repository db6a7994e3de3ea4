"""Hashes of secrets, under a key that is not in the database, and a check for secrets that can be guessed."""

import hashlib
import hmac

KEY_BYTES_MIN = 32
MEMORY_MAX = 10_000
REMEMBERED_BYTES_MAX = 256  # what is shown as a secret may be as long as a head, and is no key of ours
CHOSEN_CHARACTERS_MIN = 16  # of a secret that a person chose
DISTINCT_MIN = 8
# What stands first in every list of guesses.
GUESSED_FIRST = (
    "password", "passwort", "changeme", "change-me", "letmein", "pertoken", "example", "default", "secret", "master",
    "admin", "token", "test", "root", "123456789", "12345678", "123456", "1234", "qwerty", "key", "sk-",
)  # fmt: skip


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
            known = hmac.digest(self._secret_key, secret, hashlib.sha256)
            if len(secret) <= REMEMBERED_BYTES_MAX:
                if len(self._memory) >= MEMORY_MAX:
                    self._memory.clear()
                self._memory[secret] = known
        return known

    @property
    def check(self) -> bytes:
        """What tells this secret key from another, and nothing else about it."""
        return self.hash(b"pertoken: which secret key is this?")


def is_same(one: bytes, other: bytes) -> bool:
    """Compare two hashes in a time that does not depend on them."""
    return hmac.compare_digest(one, other)


def weakness(secret: str) -> str | None:
    """Say why a secret that a person chose can be guessed, None where nothing speaks for it; it is not repeated."""
    if len(secret) < CHOSEN_CHARACTERS_MIN:
        return f"it has {len(secret)} characters; at least {CHOSEN_CHARACTERS_MIN} are needed"
    if len(set(secret)) < DISTINCT_MIN:
        return f"it has only {len(set(secret))} different characters"
    rest = secret.lower()
    for word in GUESSED_FIRST:
        rest = rest.replace(word, "")
    if len(set(rest)) < DISTINCT_MIN:
        return "it consists of common words"
    return None
