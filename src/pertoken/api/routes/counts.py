"""Models whose providers contradicted pertoken's count of tokens, as a resource."""

import msgspec

from pertoken.api.fields import CountField, Instant, PageQuery, page
from pertoken.api.problem import ApiRefused, Problem
from pertoken.api.route import Asked, Route
from pertoken.core.access import Action
from pertoken.core.periods import format_time
from pertoken.core.trust import Doubt
from pertoken.ports.store import Opened


class CountAnswer(msgspec.Struct, kw_only=True):
    """A model whose provider counts more input than pertoken, and the numbers that its calls are now held by.

    Calls are held by the larger of pertoken's count and its byte bound, each times its ratio, plus the constant.
    `call_id` is the last call that changed these numbers, with both counts of its input.
    """

    name: str  # PROVIDER/MODEL
    provider: str
    model: str
    ratio_percent: CountField
    byte_ratio_percent: CountField
    constant_tokens: CountField
    counted_tokens: CountField
    reported_tokens: CountField
    call_id: str
    changed_at: Instant


class CountsAnswer(msgspec.Struct):
    """Models whose providers count more input than pertoken, by provider and model."""

    counts: list[CountAnswer]
    next_cursor: str | None


class ResetCount(msgspec.Struct):
    """A model whose count is trusted again."""

    name: str
    reset: bool


def list_counts(opened: Opened, asked: Asked) -> CountsAnswer:
    """Return the models whose counts providers contradicted."""
    doubts = opened.archive.doubts()
    shown, cursor = page(doubts, lambda one: (one.provider, one.model), asked.query, (str, str))
    return CountsAnswer([_answer(one) for one in shown], cursor)


def reset_count(opened: Opened, asked: Asked) -> ResetCount:
    """Trust the count of a model again."""
    provider, _, model = asked.name.partition("/")
    if not opened.administration.reset_trust(provider, model):
        raise ApiRefused(Problem.NOT_FOUND, f"{asked.name!r} is trusted already; see: GET /api/v1/counts", "name")
    return ResetCount(asked.name, reset=True)


def _answer(doubt: Doubt) -> CountAnswer:
    return CountAnswer(
        name=f"{doubt.provider}/{doubt.model}",
        provider=doubt.provider,
        model=doubt.model,
        ratio_percent=doubt.trust.ratio_percent,
        byte_ratio_percent=doubt.trust.byte_ratio_percent,
        constant_tokens=doubt.trust.constant_tokens,
        counted_tokens=doubt.counted_tokens,
        reported_tokens=doubt.reported_tokens,
        call_id=doubt.call_id,
        changed_at=format_time(doubt.changed_at_us),
    )


ROUTES = (
    Route(
        "GET", "/api/v1/counts", Action.COUNTS_READ, "List models whose providers count more input than pertoken.",
        list_counts, CountsAnswer, PageQuery,
    ),
    Route(
        "DELETE", "/api/v1/counts/{name}", Action.COUNTS_WRITE, "Trust pertoken's count of a model again.", reset_count,
        ResetCount, problems=(Problem.NOT_FOUND,),
    ),
)  # fmt: skip
