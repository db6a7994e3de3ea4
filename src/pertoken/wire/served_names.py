"""Models that a stream names in events which nobody looks at: found at its end, by their bytes.

Most streams name one model in each of their events, so counting its name tells that there is no other.
"""

from collections.abc import Callable

from pertoken.wire import sse
from pertoken.wire.usage_reading import also_named


def skimmed(models: tuple[str, ...], events: bytes, key: bytes, named_in: Callable[[bytes], object]) -> tuple[str, ...]:
    """Return the models that a stream has named, with those that `events` name behind `key`.

    `named_in` returns the model that the data of one event names as the one that serves, or anything else.
    """
    if _is_familiar(models, events, key):
        return models
    for event in sse.split(events):
        if not _is_familiar(models, event, key):
            models = also_named(models, named_in(sse.data(event)))
    return models


def _is_familiar(models: tuple[str, ...], events: bytes, key: bytes) -> bool:
    """Tell whether all that stands behind `key` is one of `models`, in either usual spelling."""
    left = events.count(key)
    for name in models:
        for colon in (b":", b": "):
            if not left:
                return True
            left -= events.count(b'%s%s"%s"' % (key, colon, name.encode("utf-8", "surrogatepass")))
    return not left
