"""Writing to stderr from any thread: what cannot be written is nobody's trouble."""

import os
import time

FD = 2
PAUSE_S = 0.01  # where stderr does not take more now


def write(data: bytes) -> None:
    """Write all of `data`; give up quietly where stderr is closed."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(FD, view) :]
        except BlockingIOError:
            time.sleep(PAUSE_S)
        except OSError:
            return
