"""Health: problems, the proof of the books, and the size and growth of the store."""

from collections.abc import Mapping
from typing import Any

from pertoken.core.access import Action
from pertoken.core.periods import DAY_US
from pertoken.services.reports import default_range, usage
from pertoken.web import shown
from pertoken.web.health import DoctorLook, Facts, Health, Proof
from pertoken.web.page import Deed, Done, NotTaken, Page, PageContext, Visit
from pertoken.web.shown import Figure

DAYS = 14
MONTHS_SHOWN = 24


def show(visit: Visit) -> PageContext:
    """Return the state of everything."""
    health = visit.site.health
    look_ = health.findings(visit.now_us) if health else DoctorLook(visit.now_us, [], is_looking=False)
    findings = look_.findings
    facts = health.facts() if health else None
    archived = visit.opened.archive.archived()
    since_us, _ = default_range(visit.now_us, visit.zone, DAYS)
    rows = usage(visit.opened.archive, since_us, visit.now_us - visit.now_us % (900 * 10**6), ("day",), visit.zone)[
        "rows"
    ]
    by_day: dict[str, int] = {}
    for row in rows:
        by_day[row["day"]] = by_day.get(row["day"], 0) + row["calls"]
    whole_days = list(by_day.values())[:-1]
    a_day = sum(whole_days) // DAYS
    return {
        "wired": health is not None,
        "findings": sorted(findings, key=lambda one: ("problem", "note", "ok").index(one.level)),
        "problems": sum(1 for one in findings if one.level == "problem"),
        "notes": sum(1 for one in findings if one.level == "note"),
        "is_looking": look_.is_looking,
        "looked": shown.time(look_.looked_us, visit.zone, visit.now_us),
        "facts": facts,
        "size": size(facts.store_bytes) if facts else shown.amount(None),
        "growth": _growth(visit, facts, a_day),
        "a_day": shown.count(a_day),
        "points": list(by_day.values()),
        "leases": [
            (what, shown.name(who), shown.time(until_us, visit.zone), until_us > visit.now_us)
            for what, who, until_us in (facts.lease if facts else ())
        ],
        "months": [
            (shown.iso_day(one.month_us, "UTC")[:7], shown.name(one.name), shown.count(one.removed))
            for one in archived[-MONTHS_SHOWN:]
        ],
        "months_found": len(archived),
        "proof": _proof(visit, health),
        "may_prove": visit.may(Action.VERIFY_RUN) and health is not None,
        "version": visit.site.version,
    }


def size(number: int) -> Figure:
    """Return a number of bytes, short."""
    whole = f"{number:,} bytes"
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= limit:
            return Figure(f"{number / limit:.{0 if number >= 100 * limit else 1}f} {unit}", whole)
    return Figure(f"{number} B", whole)


def _growth(visit: Visit, facts: Facts | None, a_day: int) -> str:
    """Return how fast the store grows, from its average size per event."""
    events = visit.opened.archive.last_number()
    if facts is None or not events or not a_day:
        return "the rate of growth is not known yet"
    return f"about {size(facts.store_bytes * a_day // events)} a day at this rate"


def _proof(visit: Visit, health: Health | None) -> dict[str, Any] | None:
    proof: Proof | None = health.proof if health else None
    if proof is None:
        return None
    return {
        "runs": proof.ended_us is None,
        "started": shown.time(proof.started_us, visit.zone, visit.now_us),
        "took": shown.took((proof.ended_us or visit.now_us) - proof.started_us),
        "checked": [(name.replace("_", " "), shown.count(number)) for name, number in proof.checked.items()],
        "differences": [", ".join(f"{key} {value}" for key, value in one.items()) for one in proof.differences],
        "found": proof.found,
        "failed": proof.failed,
        "old": proof.ended_us is not None and visit.now_us - proof.ended_us > DAY_US,
    }


def prove(visit: Visit, _form: Mapping[str, str]) -> Done:
    """Start to prove the books."""
    health = visit.site.health
    if health is None:
        raise NotTaken("this process cannot prove the books; run: pertoken verify")
    began = health.prove(visit.site.store, visit.site.clock)
    said = "The proof is running; its result will appear here." if began else "A proof is already running."
    return Done(visit.link("/health"), said)


def look(visit: Visit, _form: Mapping[str, str]) -> Done:
    """Make doctor check again."""
    if visit.site.health is not None:
        visit.site.health.forget()  # doctor writes to the database, and so does this request: so it does not run here
    return Done(visit.link("/health"), "All checks are running again.")


PAGE = Page(
    "/health",
    "Health",
    Action.COUNTS_READ,
    show,
    "pages/health.html",
    "Operate",
    deeds=(Deed("prove", Action.VERIFY_RUN, prove), Deed("look", Action.COUNTS_READ, look)),
)
