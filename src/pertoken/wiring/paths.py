"""Where the files of an installation are that are not in its database."""

from pathlib import Path

from pertoken.settings import Settings, default_database


def secret_key_file(settings: Settings) -> Path:
    """Return where the secret key lives when the settings have none: beside a database that is a file."""
    return _beside(settings, ".key", "secret.key")


def archive_folder(settings: Settings) -> Path:
    """Return where months are archived when nothing says otherwise: beside a database that is a file."""
    return _beside(settings, ".archive", "archive")


def credit_folder(settings: Settings) -> Path:
    """Return where what is served on credit is recorded: beside a database that is a file."""
    return _beside(settings, ".credit", "credit")


def owed_folder(settings: Settings) -> Path:
    """Return where settlements are kept that the books do not have yet: beside a database that is a file."""
    return _beside(settings, ".owed", "owed")


def _beside(settings: Settings, suffix: str, name: str) -> Path:
    kind, _, place = settings.database_url.partition(":///")
    return Path(f"{place}{suffix}") if kind == "sqlite" else default_database().with_name(name)
