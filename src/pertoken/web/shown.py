"""Formats figures, times and names: short on the page, in full in the tooltip. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple

from pertoken.core.money import format_amount, short_amount
from pertoken.core.periods import US_PER_SECOND, format_time, load_zone, parse_time
from pertoken.core.texts import escaped
from pertoken.core.units import TOKEN_UNITS

UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
ID_SHOWN = 20  # characters of an id; longer ids are cut in the middle
NAME_SHOWN = 48  # characters of a name; longer names are cut at the end
IN_MILLIONS = TOKEN_UNITS | {"tokens", "cache_token_hours", "characters"}  # what prices are quoted of
HUES = 8  # colours of categories; a name has the same one on every page
SALT = b"hue1471"  # so chosen that the models of the demo differ


class Figure(NamedTuple):
    """A value as the page shows it, and in full for the tooltip."""

    text: str
    whole: str

    def __str__(self) -> str:
        return self.text


NO_PRICE = Figure(f"{UNKNOWN} no price", "nobody has said what it costs: state a price, then rate again")


def amount(value: Decimal | str | None, currency: str = "") -> Figure:
    """Return an amount: two decimals from 1 up, four significant digits below 1, all digits in the tooltip."""
    if value is None:
        return Figure(UNKNOWN, "not known")
    exact = value if isinstance(value, Decimal) else Decimal(value)
    whole = f"{exact:f} {currency}".strip()
    return Figure(_signed(short_amount(exact)), whole)


def unpriced(known: Figure, calls: int, uncounted: int) -> Figure:
    """Return a cost; where no call has any price, that there is none: the cost is then not known, and not 0."""
    return NO_PRICE if calls and calls == uncounted else known


def picos(value: int | None, currency: str) -> Figure:
    """Return an amount that is given in picos."""
    return amount(None if value is None else format_amount(value, currency), currency)


def count(value: int | None) -> Figure:
    """Return a count: exact below ten thousand, above that with three significant digits and k, M or G."""
    if value is None:
        return Figure(UNKNOWN, "not known")
    whole = f"{value:,}"
    if abs(value) < 10_000:
        return Figure(_signed(whole), whole)
    for limit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(value) >= limit:
            scaled = Decimal(value) / limit
            places = max(0, 2 - scaled.adjusted())
            return Figure(_signed(f"{scaled:.{places}f} {letter}"), whole)
    raise AssertionError(value)


def uncharged(unpriced: int, uncounted: int) -> str:
    """Return how many calls without a price are charged provisionally, and how many, of which nothing is known, not."""
    parts = ((unpriced - uncounted, "charged provisionally"), (uncounted, "not charged"))
    return ", ".join(f"{calls:,} {word}" for calls, word in parts if calls)


def share(part: int | Decimal, whole: int | Decimal) -> Figure:
    """Return a part of a whole in percent, or a dash if the whole is zero."""
    if not whole:
        return Figure(UNKNOWN, "the total is zero")
    percent = Decimal(part) * 100 / Decimal(whole)
    digits = 0 if percent >= 10 or percent == 0 else 1 if percent >= 1 else 2
    return Figure(f"{percent:,.{digits}f} %", f"{part:,} of {whole:,}")


def change(now: Decimal | int, before: Decimal | int) -> Figure:
    """Return the change of a figure, in percent of its earlier value."""
    tip = f"{now:,} against {before:,}"
    if not before:
        return Figure("new" if now else "no change", tip)
    percent = (Decimal(now) - Decimal(before)) * 100 / abs(Decimal(before))
    if percent == 0:
        return Figure("no change", tip)
    digits = 0 if abs(percent) >= 10 else 1
    return Figure(f"{'▲' if percent > 0 else '▼'} {abs(percent):,.{digits}f} %", tip)


def rise(part: Decimal | None) -> Figure:
    """Return a relative rise in percent; None means that there was no earlier value."""
    if part is None:
        return Figure("new", "there was nothing before")
    percent = part * 100
    if percent == 0:
        return Figure("no change", "no change")
    digits = 0 if abs(percent) >= 10 else 1
    return Figure(f"{'▲' if percent > 0 else '▼'} {abs(percent):,.{digits}f} %", f"{percent:+,.4f} %")


def took(microseconds: int | None) -> Figure:
    """Return a duration: in milliseconds, and from one second up in seconds."""
    if microseconds is None:
        return Figure(UNKNOWN, "not known")
    if microseconds >= US_PER_SECOND:
        return Figure(f"{microseconds / US_PER_SECOND:.2f} s", f"{microseconds / 1000:,.1f} ms")
    return Figure(f"{microseconds / 1000:.{0 if microseconds >= 100_000 else 1}f} ms", f"{microseconds:,} us")


def time(at_us: int | None, zone: str, now_us: int | None = None) -> Figure:
    """Return an instant in `zone`; within the last hour, how long ago it was. The tooltip is exact."""
    if at_us is None:
        return Figure(UNKNOWN, "never")
    local = datetime.fromtimestamp(at_us // US_PER_SECOND, UTC).astimezone(load_zone(zone))
    whole = f"{local:%Y-%m-%d %H:%M:%S} {zone} · {format_time(at_us)}"
    if now_us is not None and 0 <= now_us - at_us < 3600 * US_PER_SECOND:
        seconds = (now_us - at_us) // US_PER_SECOND
        return Figure(
            "just now" if seconds < 5 else f"{seconds} s ago" if seconds < 60 else f"{seconds // 60} min ago", whole
        )
    return Figure(f"{local.day} {local:%b %Y, %H:%M}", whole)


def day(at_us: int, zone: str) -> str:
    """Return the day of an instant in `zone`: 3 Nov 2026."""
    local = datetime.fromtimestamp(at_us // US_PER_SECOND, UTC).astimezone(load_zone(zone))
    return f"{local.day} {local:%b %Y}"


def iso_day(at_us: int, zone: str) -> str:
    """Return the day of an instant in `zone`, as reports write it: 2026-11-03."""
    return f"{datetime.fromtimestamp(at_us // US_PER_SECOND, UTC).astimezone(load_zone(zone)):%Y-%m-%d}"


def stated_time(text: str, zone: str) -> Figure:
    """Return an instant that is written as RFC 3339 on the clocks of `zone`."""
    return time(parse_time(text), zone)


def stated_day(text: str, zone: str) -> str:
    """Return the day of an instant that is written as RFC 3339, on the clocks of `zone`."""
    return day(parse_time(text), zone)


class ShownPrice(NamedTuple):
    """A price as pages quote it: of a million tokens, or of one of anything else."""

    amount: str
    per: str

    def __str__(self) -> str:
        return f"{self.amount} {self.per}".strip()


def price(unit: str, per_million: str | None) -> ShownPrice:
    """Return a price of a unit, exact, from what a million of it cost."""
    if per_million is None:
        return ShownPrice(UNKNOWN, "")
    exact = Decimal(per_million) if unit in IN_MILLIONS else (Decimal(per_million) / 10**6)
    text = f"{exact:,f}"
    return ShownPrice(text.rstrip("0").rstrip(".") if "." in text else text, per(unit))


def per(unit: str) -> str:
    """Return of how much of a unit a price is quoted."""
    return "a million" if unit in IN_MILLIONS else "each"


def identity(text: str | None) -> Figure:
    """Return an id; a long one is cut in the middle, because its ends distinguish it from others."""
    if not text:
        return Figure(UNKNOWN, "none")
    safe = escaped(text)
    if len(safe) <= ID_SHOWN:
        return Figure(safe, safe)
    return Figure(f"{safe[:11]}…{safe[-8:]}", safe)


def name(text: str | None, absent: str = UNKNOWN) -> Figure:
    """Return a name; a long one is cut at its end. Characters that would move or hide text are escaped."""
    if not text:
        return Figure(absent, "none")
    safe = escaped(text)
    return Figure(safe if len(safe) <= NAME_SHOWN else f"{safe[: NAME_SHOWN - 1]}…", safe)


def hue(text: str) -> int:
    """Return the colour of a name, as a number. It is the same on every page and on every day."""
    return blake2b(text.encode(), digest_size=2, salt=SALT).digest()[0] % HUES


def hues(names: Iterable[str]) -> list[int]:
    """Return the colours of the names of one chart, the same in whatever order.

    Each has its own, and of those that want the same one the first by name; the others have what is left.
    """
    given = list(names)
    found: dict[str, int] = {}
    for text in sorted(set(given)):
        if hue(text) not in found.values():
            found[text] = hue(text)
    for text in sorted(set(given) - set(found)):
        others = [(hue(text) + step) % HUES for step in range(HUES)]
        found[text] = next((one for one in others if one not in found.values()), others[0])
    return [found[text] for text in given]


def _signed(text: str) -> str:
    return MINUS + text[1:] if text.startswith("-") else text
