"""The real command line, whose reading processes wait over a long text for as long as a file is there.

    COUNTING_ORDER=FILE python tests/e2e/counting.py serve --port 4000

With FILE there, whoever counts a long text says so in FILE.begun, and goes on once FILE is gone.
"""

import os
import sys
import time
from pathlib import Path

from pertoken.__main__ import main
from pertoken.core.bounds import Family
from pertoken.counting.tokenizers import Counted, Tokenizers
from pertoken.gateway import reader, readers

VARIABLE = "COUNTING_ORDER"
LONG_LETTERS = 64 * 1024
WAIT_S = 300


def obey(order: Path) -> None:
    """Make every tokenizer of this process wait as the file says."""
    count_text = Tokenizers.count_text

    def count(self: Tokenizers, family: Family, text: str) -> Counted:
        if len(text) > LONG_LETTERS and order.exists():
            order.with_suffix(".begun").touch()
            for _ in range(WAIT_S * 100):
                if not order.exists():
                    break
                time.sleep(0.01)
        return count_text(self, family, text)

    Tokenizers.count_text = count  # type: ignore[method-assign]


if __name__ == "__main__":
    if sys.argv[1].isdigit():  # the socket of a gateway
        obey(Path(os.environ[VARIABLE]))
        reader.main()
    else:
        readers.PROGRAM = (__file__,)
        main()
