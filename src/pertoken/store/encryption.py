"""Encrypts texts for storage in readable files, under the installation's secret key (Fernet)."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class CannotDecrypt(Exception):
    """The text was encrypted under another secret key or for another purpose, or it was changed since."""


def encrypt(secret_key: bytes, purpose: str, text: str) -> str:
    """Return `text` as a token that `decrypt` reads with the same secret key and purpose, and nothing else does."""
    return _fernet(secret_key, purpose).encrypt(text.encode()).decode("ascii")


def decrypt(secret_key: bytes, purpose: str, token: str) -> str:
    """Return what was encrypted. Raises CannotDecrypt."""
    try:
        return _fernet(secret_key, purpose).decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise CannotDecrypt from error


def _fernet(secret_key: bytes, purpose: str) -> Fernet:
    """Derive a key of its own for each purpose (HKDF, RFC 5869): none of them tells of another."""
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"pertoken: {purpose}".encode()).derive(secret_key)
    return Fernet(base64.urlsafe_b64encode(key))
