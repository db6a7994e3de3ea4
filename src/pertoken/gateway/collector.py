"""How often the garbage collector runs in a process that holds the price book."""

import gc


def calm() -> None:
    """Stop the collector from scanning the price book again and again: a tenth of a call's CPU, 80 ms of a page's."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
