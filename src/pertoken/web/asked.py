"""Reads the address of Explore: the figure, its dimensions, the step, the filters and the kind of chart."""

import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from pertoken.core.access import Action
from pertoken.core.budgets import DIMENSIONS, TAG_PREFIX, is_dimension
from pertoken.core.directory import Key
from pertoken.core.periods import DAY_US, format_time
from pertoken.core.texts import tidy
from pertoken.services.explore import METRICS, REFUSED, REFUSED_BY, REFUSED_WHERE, STEPS, Metric
from pertoken.services.keys import SeveralKeys, choose_key
from pertoken.web.page import NotHere, Visit
from pertoken.web.ranges import STEPS_MAX

BY = ("model", "provider", "key", "team", "customer", "user")  # conversations have a page of their own
TOPS = (5, 8)
HOURS_DAYS_MAX = 14  # the most days for which hours are shown, because more points do not fit on a screen
STACKED, LINES = "stacked", "lines"
STEP_WORDS = {"hour": "an hour", "day": "a day", "week": "a week", "month": "a month"}


class Exploring(NamedTuple):
    """The state of the page, as in its address."""

    metric: Metric
    by: tuple[str, ...]
    step: str
    where: Mapping[str, str]
    top: int
    drawn: str  # STACKED or LINES
    is_cumulative: bool
    compares: bool
    note: str = ""  # messages about parts of the address that do not apply

    @property
    def choices(self) -> tuple[str, ...]:
        """The dimensions that it can be grouped by."""
        return REFUSED_BY if self.metric.name == REFUSED else BY


def read_view(visit: Visit) -> Exploring:
    """Return the state that the address describes. Raises NotHere for an unknown value."""
    query = visit.query
    metric = _one_of("metric", query.get("metric") or _usual(visit), METRICS)
    if metric == "cost" and not visit.may(Action.COSTS_READ):
        raise NotHere("This role may not see costs.")
    by = [_dimension(query[name], metric) for name in ("by", "then") if query.get(name)]
    if "by" not in query:
        by = ["reason" if metric == REFUSED else "model", *by]
    where, note = _where(query), ""
    if "key" in where:
        where = with_key_id(where, visit.opened.archive.list_keys())
    if metric == REFUSED and not set(where) <= set(REFUSED_WHERE):
        note = "Refused calls are counted only by hour, key, budget and reason, so the other filters do not apply."
        where = {name: value for name, value in where.items() if name in REFUSED_WHERE}
    step = _one_of("step", query.get("step") or _usual_step(visit), dict.fromkeys(STEPS, ""))
    if step == "hour" and _days(visit) > HOURS_DAYS_MAX:
        step, note = "day", f"Hours can be shown for at most {HOURS_DAYS_MAX} days, so this chart shows days."
    if (fits := visit.range.step(step)) != step:
        step, note = fits, f"At most {STEPS_MAX:,} steps are shown; these are {fits}s."
    return Exploring(
        METRICS[metric], tuple(dict.fromkeys(by)), step, where,
        int(_one_of("top", query.get("top") or str(TOPS[-1]), {str(one): "" for one in TOPS})),
        _one_of("chart", query.get("chart") or STACKED, {STACKED: "", LINES: ""}),
        query.get("cumulative") == "1", query.get("compare") == "1", note,
    )  # fmt: skip


def with_key_id(where: Mapping[str, str], keys: Sequence[Key]) -> dict[str, str]:
    """Return filters with a key's id, if they say its name instead. Raises NotHere if several keys have that name."""
    if "key" not in where:
        return dict(where)
    try:
        key = choose_key(keys, where["key"])
    except SeveralKeys as error:
        raise NotHere(f"{str(error).capitalize()}.") from error
    return {**where, "key": where["key"] if key is None else key.key_id}


def command_of(visit: Visit, view: Exploring) -> str:
    """Return the command that prints the same; no command can filter by tag or report refused calls."""
    if view.metric.name == REFUSED or any(name.startswith(TAG_PREFIX) for name in view.where):
        return ""
    span = f"--since {format_time(visit.range.since_us)} --until {format_time(visit.range.until_us)}"
    only = "".join(f" --{name} {shlex.quote(value)}" for name, value in view.where.items())
    return f"pertoken usage --by {shlex.quote(','.join((view.step, *view.by)))} {span} --tz {visit.zone}{only}"


def api_of(visit: Visit, view: Exploring) -> str:
    """Return the control plane's path with the same figures; none can filter by tag or report refused calls."""
    if not command_of(visit, view):
        return ""
    span = {"since": format_time(visit.range.since_us), "until": format_time(visit.range.until_us)}
    by = ",".join((view.step, *view.by))
    return f"/api/v1/usage?{urlencode({'by': by, **span, 'timezone': visit.zone, **view.where})}"


def _usual(visit: Visit) -> str:
    return "cost" if visit.may(Action.COSTS_READ) else "calls"


def _usual_step(visit: Visit) -> str:
    days = _days(visit)
    return "hour" if days <= 2 else "day" if days <= 93 else "week" if days <= 400 else "month"


def _days(visit: Visit) -> int:
    return (visit.range.until_us - visit.range.since_us) // DAY_US


def _one_of(what: str, value: str, known: Mapping[str, object]) -> str:
    if value not in known:
        raise NotHere(f"Unknown {what}: {value[:100]!r}; use one of: {', '.join(known)}.")
    return value


def _dimension(name: str, metric: str) -> str:
    name = tidy(name)
    known = REFUSED_BY if metric == REFUSED else BY
    if name not in known and (metric == REFUSED or not (name.startswith(TAG_PREFIX) and is_dimension(name))):
        if metric == REFUSED:
            return "reason"
        raise NotHere(f"Unknown dimension: {name[:100]!r}; use one of: {', '.join(known)}, tag:NAME.")
    return name


def _where(query: Mapping[str, str]) -> dict[str, str]:
    """Return the filters by dimension. A tag is tag:NAME=VALUE, or tag=NAME=VALUE as the form sends it."""
    where = {name: tidy(query[name]) for name in DIMENSIONS if query.get(name)}
    where |= {name: value for name, value in query.items() if name.startswith(TAG_PREFIX) and is_dimension(name)}
    name, is_tag, value = query.get("tag", "").partition("=")
    if is_tag and name.strip():
        where[f"{TAG_PREFIX}{name.strip()}"] = value.strip()
    return where
