"""The prices of one model at one provider, over time and by source, and the cost of past calls at today's prices."""

import itertools
import shlex
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from pertoken.core.access import Action
from pertoken.core.periods import FOREVER_US, Window, bounds, format_time
from pertoken.core.price_book import PriceBook
from pertoken.core.prices import PriceRow
from pertoken.core.rates import Rates
from pertoken.services.price_show import ids_in_force, price_fields
from pertoken.services.reports import Part, together, usage
from pertoken.services.what_if import what_if
from pertoken.web import shown
from pertoken.web.acting import act, plan_rating, rate_again
from pertoken.web.page import Deed, Done, NotHere, NotTaken, Page, PageContext, Visit
from pertoken.web.pages.prices import address, per_million
from pertoken.web.shown import Figure
from pertoken.web.use import also

UNITS = ("input_tokens", "output_tokens")
WIDTH, HEIGHT = 1000, 120
ROWS_MAX = 200


class PriceStretch(NamedTuple):
    """A period with the same prices."""

    start_us: int
    end_us: int
    prices: tuple[Decimal | None, ...]  # in the order of UNITS


def show(visit: Visit) -> PageContext:
    """Return the prices of a model. Raises NotHere."""
    provider, model = _named(visit)
    book = visit.site.prices()
    rows = [row for _, row in book.candidates(provider, model)]
    rates = book.resolve(provider, model, visit.now_us)
    report = usage(
        visit.opened.archive,
        visit.range.since_us,
        visit.range.until_us,
        (),
        visit.zone,
        Part({"provider": provider, "model": model}),
    )
    used = together(report)
    if not any(row.sells for row in rows) and not used["calls"] and not isinstance(rates, Rates):
        raise NotHere(f"{model} at {provider} has no known price and was not used in this range.")
    steps = _steps(book, provider, model, rows)
    in_force = ids_in_force(book, provider, model, visit.now_us)
    return {
        "provider": provider,
        "model": model,
        "rates": rates if isinstance(rates, Rates) else None,
        "why_none": None if isinstance(rates, Rates) else rates.reason,
        "now": [
            (unit.removesuffix("_tokens"), _shown_price(rates, unit))
            for unit in (*UNITS, "cache_read_tokens", "cache_write_tokens")
        ],
        "chart": _chart(steps, visit),
        "rows": [_row(visit, row, in_force) for row in _ordered(rows)[:ROWS_MAX]],
        "rows_found": len(rows),
        "upcoming": [_row(visit, row, in_force) for row in _ordered(rows) if row.valid_from_us > visit.now_us],
        "differing": _differing(rows, visit.now_us),
        "used": used,
        "cost": shown.unpriced(shown.amount(used["cost"], used["currency"]), used["calls"], used["uncounted_calls"]),
        "also": also(visit, report, used["currency"]),
        "what_if": _what_if(visit, book, provider, model),
        "rerated": _rerated(visit, provider, model) if visit.query.get("rerate") else None,
        "may_write": visit.may(Action.PRICES_WRITE),
        "sees_all": visit.view.is_whole,
        "command": _command(visit, provider, model),
    }


def _named(visit: Visit) -> tuple[str, str]:
    provider, slash, model = visit.name.partition("/")
    if not slash or not provider or not model:
        raise NotHere("The address of a price is /prices/PROVIDER/MODEL.")
    return provider, model


def _shown_price(rates: Any, unit: str) -> Figure:
    return shown.amount(per_million(rates, unit), rates.currency) if isinstance(rates, Rates) else shown.amount(None)


def _steps(book: PriceBook, provider: str, model: str, rows: Sequence[PriceRow]) -> list[PriceStretch]:
    """Return the periods with the same prices, the oldest first, as the book knows them now."""
    edges = sorted({edge for row in rows for edge in (row.valid_from_us, row.valid_to_us)} | {0, FOREVER_US})
    steps: list[PriceStretch] = []
    for start_us, end_us in itertools.pairwise(edges):
        rates = book.resolve(provider, model, start_us)
        prices = tuple(per_million(rates, unit) if isinstance(rates, Rates) else None for unit in UNITS)
        if steps and steps[-1].prices == prices:
            steps[-1] = steps[-1]._replace(end_us=end_us)
        else:
            steps.append(PriceStretch(start_us, end_us, prices))
    return steps


def _chart(steps: Sequence[PriceStretch], visit: Visit) -> PageContext | None:
    """Return the prices as lines over time, from the first known change to some time after the last one."""
    changes = [one.start_us for one in steps if one.start_us > 0]
    if not any(price is not None for one in steps for price in one.prices):
        return None
    year_us = 365 * 24 * 3600 * 10**6
    since_us = min([visit.now_us - year_us, *(at - year_us // 12 for at in changes)])
    until_us = max([visit.now_us, *changes]) + year_us // 12
    most = max(price for one in steps for price in one.prices if price is not None) or Decimal(1)

    def x(at_us: int) -> float:
        return round((min(max(at_us, since_us), until_us) - since_us) * WIDTH / (until_us - since_us), 1)

    lines = []
    for at, unit in enumerate(UNITS):
        pieces = [
            (x(one.start_us), x(one.end_us), round(HEIGHT - 6 - float(one.prices[at] / most) * (HEIGHT - 16), 1))  # type: ignore[operator]
            for one in steps
            if one.prices[at] is not None and one.end_us > since_us
        ]
        points = " ".join(f"{start},{y} {end},{y}" for start, end, y in pieces)
        lines.append((unit.removesuffix("_tokens"), points))
    ends = (shown.day(since_us, visit.zone), shown.day(until_us, visit.zone))
    return {"lines": lines, "now": x(visit.now_us), "ends": ends, "most": shown.amount(most)}


def _ordered(rows: Sequence[PriceRow]) -> list[PriceRow]:
    """Return the rows grouped by what they price, the newest of each group first."""
    return sorted(
        rows, key=lambda row: (row.is_factor, row.unit, row.conditions, row.input_above or 0, -row.valid_from_us)
    )


def _row(visit: Visit, row: PriceRow, in_force: Collection[str]) -> dict[str, Any]:
    fields = price_fields(row)
    when = ", ".join(f"{name} {value}" for name, value in fields["conditions"].items())
    price = shown.price(row.unit, fields["per_million"])
    amount = f"\N{MULTIPLICATION SIGN} {fields['factor']}" if row.is_factor else f"{price.amount} {row.currency}"
    return {
        "unit": row.unit.replace("_", " "),
        "amount": amount,
        "per": "" if row.is_factor else price.per,
        "when": when,
        "from": shown.day(row.valid_from_us, visit.zone) if row.valid_from_us else "ever",
        "until": shown.day(row.valid_to_us, visit.zone) if row.valid_to_us < FOREVER_US else "",
        "state": _state(row, in_force, visit.now_us),
        "source": shown.name(f"{row.source}: {row.evidence}"),
        "price_id": row.price_id,
    }


def _state(row: PriceRow, in_force: Collection[str], now_us: int) -> str:
    if row.valid_from_us > now_us:
        return "to come"
    if row.valid_to_us <= now_us:
        return "over"
    return "now" if row.price_id in in_force else "overruled"


def _differing(rows: Sequence[PriceRow], now_us: int) -> list[dict[str, Any]]:
    """Return current prices on which sources disagree: the same unit and conditions, but different amounts."""
    found: dict[tuple[Any, ...], dict[str, PriceRow]] = {}
    for row in sorted(rows, key=lambda one: one.valid_from_us):
        if row.valid_from_us <= now_us < row.valid_to_us and not row.is_factor:
            found.setdefault((row.unit, row.conditions, row.input_above or 0, row.currency), {})[row.source] = row
    differing = []
    for (unit, _, above, currency), by_source in found.items():
        amounts = {
            source: shown.price(unit, price_fields(row)["per_million"]).amount for source, row in by_source.items()
        }
        if len(set(amounts.values())) > 1:
            what = unit.replace("_", " ") + (f" above {above:,}" if above else "")
            differing.append(
                {"what": what, "amounts": sorted(amounts.items()), "currency": currency, "per": shown.per(unit)}
            )
    return differing


def _what_if(visit: Visit, book: PriceBook, provider: str, model: str) -> PageContext | None:
    """Return what last month's calls would have cost at today's prices."""
    start_us, _ = bounds(Window.MONTH, visit.now_us, "UTC")
    span = bounds(Window.MONTH, start_us - 1, "UTC")
    found = what_if(visit.opened.archive, book, provider, model, span, visit.now_us)
    if found is None:
        return None
    change = None
    if found.would_picos is not None and found.paid_picos:
        change = shown.change(Decimal(found.would_picos), Decimal(found.paid_picos)).text
    return {
        "found": found,
        "month": shown.iso_day(span[0], "UTC")[:7],
        "paid": shown.picos(found.paid_picos, found.currency),
        "would": shown.picos(found.would_picos, found.currency),
        "change": change,
    }


def _rerated(visit: Visit, provider: str, model: str) -> PageContext:
    """Return the corrections that rating the range again would make, or why a page cannot compute them."""
    try:
        return {"why": None, "answer": plan_rating(visit, _calls(visit, provider, model)).answer}
    except NotTaken as error:
        return {"why": str(error), "answer": None}


def _calls(visit: Visit, provider: str, model: str) -> dict[str, str]:
    """Return the model's calls in the range, as the control plane's route takes them."""
    since, until = (format_time(at) for at in (visit.range.since_us, visit.range.until_us))
    return {"since": since, "until": until, "provider": provider, "model": model}


def _command(visit: Visit, provider: str, model: str) -> str:
    since, until = (format_time(at) for at in (visit.range.since_us, visit.range.until_us))
    return (
        f"pertoken rerate --from {since} --to {until} --provider {shlex.quote(provider)} --model {shlex.quote(model)}"
    )


def state(visit: Visit, form: Mapping[str, str]) -> Done:
    """Add the operator's own price."""
    provider, model = _named(visit)
    given = {
        name: form.get(name, "").strip() or None
        for name in ("output", "cache_read", "cache_write", "valid_from", "valid_to")
    }
    if not form.get("input", "").strip():
        raise NotTaken("enter the price of a million input tokens; 0 if they are free", "input")
    body = {"provider": provider, "model": model, "input": form.get("input", "").strip(), **given}
    act(visit, "POST", "/api/v1/prices", body={**body, "currency": form.get("currency", "").strip() or "USD"})
    return Done(
        address(visit, provider, model),
        f"The price of {model} at {provider} was added. It takes precedence over imported prices.",
    )


def withdraw(visit: Visit, form: Mapping[str, str]) -> Done:
    """Withdraw an announced price."""
    provider, model = _named(visit)
    act(visit, "DELETE", "/api/v1/announced-prices/{price_id}", form.get("price_id", ""))
    return Done(address(visit, provider, model), "The announced price was withdrawn; the earlier price stays in force.")


def correct(visit: Visit, _form: Mapping[str, str]) -> Done:
    """Rate the calls of the range again, and correct those whose cost differs."""
    provider, model = _named(visit)
    made = rate_again(visit, _calls(visit, provider, model))
    said = f"{made:,} corrections are in the books." if made != 1 else "One correction is in the books."
    said = said if made else "There was nothing to correct."
    return Done(visit.link(address(visit, provider, model).partition("?")[0]), said)


PAGE = Page(
    "/prices/{name}",
    "Price",
    Action.PRICES_READ,
    show,
    "pages/price.html",
    parent="/prices",
    deeds=(
        Deed("state", Action.PRICES_WRITE, state),
        Deed("withdraw", Action.PRICES_WRITE, withdraw),
        Deed("correct", Action.PRICES_WRITE, correct, records=True),
    ),
)
