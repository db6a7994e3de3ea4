"""Writes to stderr from any thread. Errors are ignored."""

import os
import time

FD = 2
PAUSE_S = 0.01  # before the next try, if stderr is full


def write(data: bytes) -> None:
    """Write all of `data`. Give up silently if stderr is closed."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(FD, view) :]
        except BlockingIOError:
            time.sleep(PAUSE_S)
        except OSError:
            return
