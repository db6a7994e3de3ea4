"""A folder of archived months."""

import importlib
from pathlib import Path

from pertoken.ports.failures import StoreFailed
from pertoken.ports.months import MonthFiles
from pertoken.wiring.schema import head


def month_folder(path: str) -> MonthFiles:
    """Return a folder of archived months. Raises StoreFailed if the library for its files is not installed."""
    try:
        month_files = importlib.import_module("pertoken.store.month_files")
    except ImportError as error:
        raise StoreFailed("archives need pyarrow: pip install pyarrow") from error
    folder: MonthFiles = month_files.MonthFolder(Path(path).absolute(), head())
    return folder
