"""Identifiers that sort by time and cannot be guessed; the caller supplies the random bits."""

from functools import lru_cache

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32, lower case: no i, l, o, u
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_EIGHT = (1 << 40) - 1  # the bits of eight characters
RANDOM_BITS = 80
KEY_PREFIX = "sk-pt-"  # "sk-" tells secret scanners and people what it is
ADMIN_PREFIX = "sk-pt-admin-"


def new_id(prefix: str, now_us: int, random_bits: int) -> str:
    """Return `prefix_` + 10 characters of milliseconds + 16 characters of chance, as in a ULID.

    `random_bits` is a non-negative integer below 2**80. Ids of later milliseconds sort later.
    """
    assert 0 <= random_bits < 1 << RANDOM_BITS, random_bits
    return f"{prefix}_{_milliseconds(now_us // 1000)}{_base32(random_bits, 16)}"


def new_secret(random_bits: int, bits: int, prefix: str = KEY_PREFIX) -> str:
    """Return the secret of a key, made of `bits` random bits; the prefix tells what kind of key it is."""
    assert 0 <= random_bits < 1 << bits, bits
    return f"{prefix}{_base32(random_bits, -(-bits // 5))}"


@lru_cache(maxsize=2)
def _milliseconds(now_ms: int) -> str:
    return _base32(now_ms, 10)


def _base32(number: int, width: int) -> str:
    text = ""
    for _ in range(-(-width // 8)):
        part = number & _EIGHT  # small enough for quick arithmetic
        number >>= 40
        text = f"{_PAIRS[part >> 30]}{_PAIRS[part >> 20 & 1023]}{_PAIRS[part >> 10 & 1023]}{_PAIRS[part & 1023]}{text}"
    return text[-width:]
