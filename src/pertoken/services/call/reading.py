"""What the steps of a call read from its body, and which bodies are read apart: in a process of their own.

A parser holds the interpreter: a body that takes it 50 ms stops every other call for 50 ms. So a body that is large, or
has much structure, is `Heavy`. Steps ask for what they need with `read`. For any other body that is a plain call. For a
heavy body, a result that is not known yet raises Unread: `read_apart` has a helper process find it, and the step is
repeated.
"""

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

from pertoken.core import bounds
from pertoken.core.bounds import Family
from pertoken.core.errors import Code, Refusal
from pertoken.core.facts import RequestFacts
from pertoken.ports.headers import HeaderList
from pertoken.ports.readers import NotRead, Readers
from pertoken.services.call.heavy import Heavy
from pertoken.wire import choices, formats, structure
from pertoken.wire.choices import Choices
from pertoken.wire.format import BadRequest, RequestChange
from pertoken.wire.request_rules import FieldTable

_P = ParamSpec("_P")
_T = TypeVar("_T")

RETRY_AFTER_S = 1


class Unread(Exception):
    """A heavy body has not been read in this way yet."""

    def __init__(self, heavy: Heavy, work: str, args: tuple[Any, ...]) -> None:
        super().__init__(work)
        self.heavy = heavy
        self.work = work
        self.args_of_work = args


class HasBody(Protocol):
    """What has a body."""

    @property
    def body(self) -> bytes:
        """Its bytes."""

    @property
    def heavy(self) -> Heavy | None:
        """The same where it is read apart."""


class Sizes(NamedTuple):
    """What a bound needs of a content: its texts in bytes, and its media in tokens at most."""

    text_bytes: int
    messages: int
    media: Mapping[str, int]


def facts_of(body: bytes, format_name: str, path_model: str | None, values_max: int | None) -> RequestFacts:
    """Return the facts of a request. Raises BadRequest when it is none, or has more than `values_max` values."""
    if values_max is not None:
        structure.check(body, values_max)
    return formats.SERVED[format_name].read_request(body, path_model)


def choices_of(  # noqa: PLR0917 - what choices depend on
    body: bytes, table: FieldTable, headers: HeaderList, query: bytes, model: str, server_tools: bool
) -> tuple[Choices, bytes | None]:
    """Return what the client chose, and the body as it was read where that differs. Raises BadRequest."""
    fields = choices.top_fields(body)
    found = choices.read(table, fields, headers, query, model)
    if server_tools:
        found = choices.read_tools(table, fields, found, model)
    once = choices.as_read(body, fields)
    return found, None if once is body else once


def sizes_of(body: bytes, format_name: str, family: Family, context_tokens: int, model: str) -> Sizes:
    """Return what a bound needs of a body with media. Raises BadRequest."""
    content = formats.SERVED[format_name].read_content(body)
    text_bytes = sum(len(text.encode()) for text in content.texts) + sum(map(len, content.tools_json))
    items = content.media
    return Sizes(text_bytes, content.messages, bounds.media_bound(items, family, context_tokens, model))


def rewritten(body: bytes, format_name: str, change: RequestChange) -> bytes:
    """Return the body with what policy writes into it. Raises BadRequest."""
    return formats.SERVED[format_name].rewrite(body, change)


WORK: Mapping[str, Callable[..., Any]] = {work.__name__: work for work in (facts_of, choices_of, sizes_of, rewritten)}


def read(work: Callable[Concatenate[bytes, _P], _T], source: HasBody, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return what `work` finds in a body. Raises BadRequest, and Unread for a heavy body that must be read first."""
    heavy = source.heavy
    if heavy is None:
        return work(source.body, *args, **kwargs)
    name = work.__name__
    known = heavy.known.get((name, args))
    if known is None:
        raise Unread(heavy, name, args)
    if isinstance(known, BadRequest):
        raise known
    return known  # type: ignore[no-any-return]


async def read_apart(unread: Unread, readers: Readers) -> Refusal | None:
    """Have a heavy body read; return why that cannot be."""
    heavy = unread.heavy
    try:
        found = await readers.read(heavy.key_id, unread.work, heavy.body, unread.args_of_work)
    except BadRequest as error:
        found = error
    except NotRead as error:
        return not_read(error)
    heavy.known[unread.work, unread.args_of_work] = found
    return None


def not_read(error: NotRead) -> Refusal:
    """Return why a call cannot be served whose body nobody can read now."""
    return Refusal(Code.OVERLOADED, f"the request body could not be read: {error}", retry_after_s=RETRY_AFTER_S)
