"""The hasher for the secrets of an installation."""

from pertoken.core.secrets import Hasher
from pertoken.store.secret_key import open_hasher
from pertoken.wiring.installation import Installation
from pertoken.wiring.paths import secret_key_file


def make_hasher(installation: Installation) -> Hasher:
    """Return the hasher for the secrets of this installation. Raises StoreFailed if its secret key is wrong."""
    settings = installation.settings
    return open_hasher(installation.database, settings.secret_key, secret_key_file(settings))
