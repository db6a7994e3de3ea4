"""The tree of errors matches its docstring."""

import inspect
import re

from pertoken.upstream import errors


def test_the_tree_is_drawn_as_it_is() -> None:
    """Every error is in the docstring's tree, below its parent, and has its own docstring."""
    drawn: dict[str, str] = {}
    parents = ["UpstreamError"]
    for indent, name in re.findall(r"^    ([| ]*)\+-- (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4 + 1
        drawn[name] = parents[depth - 1]
        parents[depth:] = [name]
    real = {
        name: kind.__mro__[1].__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.UpstreamError) and kind is not errors.UpstreamError
    }

    assert drawn == real
    assert all((getattr(errors, name).__doc__ or "").endswith(".") for name in real)


def test_what_an_error_carries() -> None:
    """An error says whether anything was sent, and keeps its cause, for the traceback too."""
    cause = OSError("reset")
    error = errors.ConnectionCut("cut", sent=True, before_head=False, cause=cause)

    assert (error.sent, error.before_head, error.cause, error.__cause__) == (True, False, cause, cause)
