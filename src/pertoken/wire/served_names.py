"""Finds models in stream events that are not parsed, by a search of their bytes.

Most streams name the same model in each event. If the key occurs as often as that name, no event names another model.
"""

from collections.abc import Callable

from pertoken.wire import sse
from pertoken.wire.usage_reading import also_named


def skimmed(models: tuple[str, ...], events: bytes, key: bytes, named_in: Callable[[bytes], object]) -> tuple[str, ...]:
    """Return `models` with the models that `events` name after `key`.

    `named_in` takes the data of one event and returns the serving model that it names, or anything that is not a text.
    """
    if _is_familiar(models, events, key):
        return models
    for event in sse.split(events):
        if not _is_familiar(models, event, key):
            models = also_named(models, named_in(sse.data(event)))
    return models


def _is_familiar(models: tuple[str, ...], events: bytes, key: bytes) -> bool:
    """Tell whether every value of `key` is one of `models`, with or without a space after the colon."""
    left = events.count(key)
    for name in models:
        for colon in (b":", b": "):
            if not left:
                return True
            left -= events.count(b'%s%s"%s"' % (key, colon, name.encode("utf-8", "surrogatepass")))
    return not left
