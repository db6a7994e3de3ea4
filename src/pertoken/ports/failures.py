"""The ways in which the store fails."""


class StoreFailed(Exception):
    """The database could not do what was asked: full, read-only, locked, damaged or gone.

    `is_one_row`: a single row broke a rule; the other commands of its batch would have been fine.
    """

    def __init__(self, message: str, *, is_one_row: bool = False) -> None:
        super().__init__(message)
        self.is_one_row = is_one_row


class NoDatabase(StoreFailed):
    """The database does not exist or is empty, and the caller did not ask to create it."""


class OtherVersion(StoreFailed):
    """The tables have the version of another pertoken, which this one does not know."""


class NotAnAddress(StoreFailed):
    """The address of the database is invalid. It may contain a password, so it is quoted only without one."""
