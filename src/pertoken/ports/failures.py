"""How the store fails."""


class StoreFailed(Exception):
    """The database could not do what was asked: full, read-only, locked, damaged or gone.

    `is_one_row`: a single row broke a rule; the other commands of its batch would have been fine.
    """

    def __init__(self, message: str, *, is_one_row: bool = False) -> None:
        super().__init__(message)
        self.is_one_row = is_one_row


class NoDatabase(StoreFailed):
    """There is no database at the place that is named, or an empty one, and nobody asked to make it."""


class OtherVersion(StoreFailed):
    """The tables are of another version of pertoken, which this one does not know."""


class NotAnAddress(StoreFailed):
    """What is given as the address of a database is none. Its text may hold a password, and is quoted only without."""
