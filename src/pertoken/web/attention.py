"""What needs attention: refusals, missing keys, calls without a price, differing counts, budgets near their limit.

The list can be empty. Each entry says what happened, and names the page or the command that helps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pertoken.core.access import Action
from pertoken.core.refusals import OTHER_BUDGET, RefusedKind
from pertoken.services.spending import Figures
from pertoken.web import shown
from pertoken.web.budget_bars import BudgetBar
from pertoken.web.page import Visit, place

ENTRIES_MAX = 8
OF_KIND_MAX = 3
BUDGET_EXCEEDED, KEY_MISSING, PRICE_UNKNOWN = "budget_exceeded", "provider_key_missing", "price_unknown"


class Notice(NamedTuple):
    """One thing that needs attention."""

    word: str  # its kind, as a badge
    tone: str  # warn or bad
    title: str
    detail: str
    label: str = ""  # the text of the link
    address: str = ""
    command: str = ""


def notices(
    visit: Visit, budget_bars: Sequence[BudgetBar], refusals: Mapping[RefusedKind, int], now: Figures
) -> list[Notice]:
    """Return what needs attention, the most urgent first."""
    found = [
        *_refused(visit, budget_bars, refusals),
        *_unpriced(visit, now["unpriced_calls"], now["uncounted_calls"]),
        *_doubts(visit),
        *_near(visit, budget_bars, {kind.budget for kind in refusals}),
    ]
    return found[:ENTRIES_MAX]


def _refused(visit: Visit, budget_bars: Iterable[BudgetBar], refusals: Mapping[RefusedKind, int]) -> Iterator[Notice]:
    full = {one.name for one in budget_bars if one.is_full}
    by_code: dict[str, dict[str, int]] = {}
    for kind, calls in refusals.items():
        of_code = by_code.setdefault(kind.code, {})
        of_code[kind.budget] = of_code.get(kind.budget, 0) + calls
    for budget, calls in _most(by_code.get(BUDGET_EXCEEDED, {})):
        name = shown.name(budget, "a budget").text
        reached = f"{name} reached its limit" if budget in full else f"{_calls(calls)} did not fit {name}"
        is_linked = budget not in ("", OTHER_BUDGET)
        yield Notice(
            "refused", "bad", reached,
            f"{_calls(calls)} refused in the last 7 days",
            "Open budget", visit.link(place("/budgets", budget) if is_linked else "/budgets"),
        )  # fmt: skip
    missing = sum(by_code.get(KEY_MISSING, {}).values())
    if missing:
        yield Notice(
            "key missing", "bad", "A provider has no key", f"{_calls(missing)} refused in the last 7 days",
            "See them", visit.link("/calls", status="refused"), "pertoken doctor",
        )  # fmt: skip
    unknown = sum(by_code.get(PRICE_UNKNOWN, {}).values())
    if unknown:
        yield Notice(
            "no price", "bad", "Models without a price were requested",
            f"{_calls(unknown)} refused in the last 7 days", "See them", visit.link("/calls", status="refused"),
            "pertoken price add",
        )  # fmt: skip


def _unpriced(visit: Visit, unpriced: int, uncounted: int) -> Iterator[Notice]:
    if unpriced and visit.may(Action.CALLS_READ):
        yield Notice(
            "unpriced", "warn", f"{_calls(unpriced)} without a price",
            f"{visit.range.label.lower()}; {shown.uncharged(unpriced, uncounted)}, until there is one", "See them",
            visit.link("/calls", status="unpriced"), "pertoken price add, then: pertoken rerate",
        )  # fmt: skip


def _doubts(visit: Visit) -> Iterator[Notice]:
    if not (visit.may(Action.COUNTS_READ) and visit.view.is_whole):
        return
    doubts = sorted(visit.opened.archive.doubts(), key=lambda one: -one.changed_at_us)
    for doubt in doubts[:OF_KIND_MAX]:
        name = f"{shown.name(doubt.provider)} / {shown.name(doubt.model)}"
        counted, reported = shown.count(doubt.counted_tokens), shown.count(doubt.reported_tokens)
        since = shown.day(doubt.changed_at_us, visit.zone)
        yield Notice(
            "disagrees", "warn", f"{name} counts more input than pertoken",
            f"{reported} tokens reported, {counted} counted; larger holds since {since}",
            "Look", visit.link(place("/calls", doubt.call_id)) if doubt.call_id else visit.link("/providers"),
        )  # fmt: skip


def _near(visit: Visit, budget_bars: Iterable[BudgetBar], refused: set[str]) -> Iterator[Notice]:
    near = [one for one in budget_bars if one.is_warning and one.name not in refused]
    for one in near[:OF_KIND_MAX]:
        yield Notice(
            "budget", "warn", f"{one.title} has used {one.used.text} of its limit", one.outlook, "Open budget",
            visit.link(place("/budgets", one.name)),
        )  # fmt: skip


def _most(by_name: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(by_name.items(), key=lambda one: (-one[1], one[0]))[:OF_KIND_MAX]


def _calls(number: int) -> str:
    return f"{number:,} call{'' if number == 1 else 's'}"


def refused_budgets(refusals: Mapping[RefusedKind, Any]) -> dict[str, int]:
    """Return how many calls each budget refused."""
    found: dict[str, int] = {}
    for kind, calls in refusals.items():
        if kind.budget:
            found[kind.budget] = found.get(kind.budget, 0) + calls
    return found
