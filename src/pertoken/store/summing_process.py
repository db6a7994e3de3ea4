"""Sums days in a process of its own: `python -m pertoken.store.summing_process`.

It reads a line of JSON from stdin: the address of the database, and the instant up to which days are summed. It ends
when nothing is due any more, or when stdin ends.
"""

import json
import logging
import os
import signal
import sys
import threading

from pertoken.ports.failures import StoreFailed
from pertoken.store.database import Database
from pertoken.store.summing import sum_newest

log = logging.getLogger("pertoken.store")


def main() -> None:
    """Sum what is due."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the process that started this one ends it
    logging.basicConfig(level=logging.WARNING, format="%(asctime)sZ %(levelname)s %(name)s %(message)s")
    address, now_us = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    database = Database(address)
    stop = threading.Event()
    try:
        while sum_newest(database, now_us, stop.wait):
            pass
    except StoreFailed as failure:  # whoever commits says so, too
        log.warning("days are not summed: %s", failure)
    finally:
        database.close()


def _end_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
