"""The places of an installation's files outside its database."""

from pathlib import Path

from pertoken.settings import Settings, default_database


def secret_key_file(settings: Settings) -> Path:
    """Return the file of the secret key, used if the settings have none: beside a database that is a file."""
    return _beside(settings, ".key", "secret.key")


def archive_folder(settings: Settings) -> Path:
    """Return the default folder for archived months: beside a database that is a file."""
    return _beside(settings, ".archive", "archive")


def credit_folder(settings: Settings) -> Path:
    """Return the place where calls on credit are recorded: beside a database that is a file."""
    return _beside(settings, ".credit", "credit")


def owed_folder(settings: Settings) -> Path:
    """Return the place of settlements that are not in the books yet: beside a database that is a file."""
    return _beside(settings, ".owed", "owed")


def _beside(settings: Settings, suffix: str, name: str) -> Path:
    kind, _, place = settings.database_url.partition(":///")
    return Path(f"{place}{suffix}") if kind == "sqlite" else default_database().with_name(name)
