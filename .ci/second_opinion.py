"""A second opinion on today's prices: LiteLLM's list beside ours, maker by maker: `make opinion`.

LiteLLM's list is taken from its wheel, pinned here, which pip fetches into a scratch folder without what it depends on.
Whatever it states for a model at the model's own maker is held against what our price book charges. Where they differ,
`second_opinion.csv` says which is right and why. A difference that is not written there, or one written there that is
none any more, is exit 1. That pip cannot fetch the wheel is said on stderr and does not fail.
"""

import csv
import fnmatch
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pertoken.catalogs import covers, genai, history, litellm, rules
from pertoken.core.conditions import STANDARD, TIME, Context, to_context
from pertoken.core.money import format_amount
from pertoken.core.periods import parse_time
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.prices import PriceRow
from pertoken.core.rates import Price, Rates

VERSION = "1.110.2"  # of the wheel; with it change SHA256 and the day in INSTANTS, then run `make opinion`
MEMBER = "litellm/model_prices_and_context_window_backup.json"
# of the list inside the wheel, which is the same for every machine
SHA256 = "8943af58bf9f979c6a4bef815687117ffa341e462a41faed9be17b5c33d3dcc2"
INSTANTS = ("2026-11-27T12:00:00Z", "2026-11-27T02:00:00Z")  # a weekday, off peak and at peak
FETCH_S_MAX = 300
ROOT = Path(__file__).resolve().parent.parent
VERDICTS = Path(__file__).resolve().with_suffix(".csv")
FETCHED = Path(sys.prefix) / "second-opinion" / f"litellm-{VERSION}.json"

# who makes models and sells them in an API of its own, as rows of LiteLLM's list name it -> our name
MAKERS: Mapping[str, str] = {
    **{name: name for name in ("anthropic", "cohere", "deepseek", "google", "meta", "minimax", "mistral", "openai",
                               "perplexity", "voyageai", "x-ai", "zai")},
    "cohere_chat": "cohere",
    "moonshot": "moonshotai",
    "text-completion-openai": "openai",
}  # fmt: skip
ROUNDING = 100_000  # LiteLLM's prices per second carry four digits: one part in so many is the same price
UNKNOWN = "unknown"  # our price book has no price of the model at all
REFUSED = "refused"  # it has one, but none under these conditions


class Unfetched(Exception):
    """The list could not be had from here."""


class Difference(NamedTuple):
    """One price that LiteLLM states and our book does not charge."""

    provider: str
    model: str
    unit: str
    conditions: str  # key=value, several with `;` between
    ours: str  # per million of the unit; empty: no price of the unit; or UNKNOWN or REFUSED
    theirs: str


class Verdict(NamedTuple):
    """What was decided about differences: one, or all that a pattern names."""

    provider: str
    model: str  # `*` stands for anything
    unit: str
    conditions: str
    ours: str
    theirs: str
    right: str
    why: str
    source: str
    reviewed: str

    def decides(self, one: Difference) -> bool:
        """Tell whether the verdict is about this difference, at these very prices."""
        return all(fnmatch.fnmatchcase(stated, pattern) for stated, pattern in zip(one, self, strict=False))


def main() -> int:
    """Compare, print what is not decided or no longer differs, and return the exit code."""
    try:
        models = fetch()
    except Unfetched as error:
        print(f"second opinion: NOT compared, pip cannot fetch litellm {VERSION}: {error}", file=sys.stderr)
        return 0
    found, verdicts = differences(models), read_verdicts()
    open_, stale = judge(found, verdicts)
    for one in open_:
        print(f"not decided: {_said(one)}")
    for verdict in stale:
        print(f"no difference any more: {_said(Difference(*verdict[:6]))}")
    if open_:
        print(
            f"decide each: add a line to {VERDICTS.relative_to(ROOT)}, with right (ours, both or open), why and source"
        )
    if stale:
        print(f"delete the lines that differ no more from {VERDICTS.relative_to(ROOT)}")
    compared = f"{len(stated(models)):,} prices of litellm {VERSION} compared"
    print(f"{compared}: {len(found):,} differ, {len(open_):,} of them not decided; {len(stale):,} verdicts are stale")
    return 1 if open_ or stale else 0


def _said(one: Difference) -> str:
    """Return a difference with the name of each field, as the columns of the verdicts are named."""
    return ", ".join(f"{name}={value or '(none)'}" for name, value in one._asdict().items())


def fetch() -> dict[str, Any]:
    """Return LiteLLM's list, from the scratch folder or by pip. Raises Unfetched."""
    content = FETCHED.read_bytes() if FETCHED.exists() else b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        content = _download()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise ValueError(f"the list in the wheel of litellm {VERSION} is not the one reviewed")
        FETCHED.parent.mkdir(exist_ok=True)
        FETCHED.write_bytes(content)
    return litellm.decode(content)


def _download() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        words = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--only-binary", ":all:", "--dest", folder, f"litellm=={VERSION}")  # fmt: skip
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=FETCH_S_MAX, check=False)
        except subprocess.TimeoutExpired as error:
            raise Unfetched(f"no answer within {FETCH_S_MAX} s") from error
        wheel = next(Path(folder).glob("litellm-*.whl"), None)
        if done.returncode or wheel is None:
            raise Unfetched(done.stderr.strip().rpartition("\n")[2][:200])
        with zipfile.ZipFile(wheel) as files:
            return files.read(MEMBER)


def differences(models: Mapping[str, Any]) -> list[Difference]:
    """Return every difference, at any of the instants, each once."""
    found: dict[Difference, None] = {}
    for text in INSTANTS:
        at_us = parse_time(text)
        rows = [*genai.read(at_us), *history.read(at_us), *rules.read(at_us)]
        ours = PriceBook(rows, Sellers(covers=covers.read()))
        theirs = PriceBook(stated(models))
        for asked in _questions(theirs):
            found.update(dict.fromkeys(_differing(ours, theirs, asked, at_us)))
    return sorted(found)


def stated(models: Mapping[str, Any]) -> list[PriceRow]:
    """Return what LiteLLM states of models that are still served, by their makers, under our names of these."""
    today = INSTANTS[0][:10]
    served = {
        name: fields
        for name, fields in models.items()
        if isinstance(fields, dict) and str(fields.get("deprecation_date", today)) >= today
    }
    return [
        row._replace(provider=MAKERS[row.provider])
        for row in litellm.rows(served, parse_time(INSTANTS[0]))
        if row.provider in MAKERS and "/" not in row.model  # "maker/model" is sold on by another
    ]


def _questions(book: PriceBook) -> list[tuple[str, str, Context]]:
    asked = {
        (row.provider, row.model, tuple((key, value) for key, value in row.conditions if key != TIME))
        for row in book.rows
        if not row.is_factor
    }
    return [(provider, model, to_context(known) if known else STANDARD) for provider, model, known in sorted(asked)]


def _differing(ours: PriceBook, theirs: PriceBook, asked: tuple[str, str, Context], at_us: int) -> Iterator[Difference]:
    provider, model, context = asked
    other = theirs.resolve(provider, model, at_us, context)
    assert isinstance(other, Rates), other
    mine = ours.resolve(provider, model, at_us, context)
    lack = REFUSED if isinstance(ours.resolve(provider, model, at_us), Rates) else UNKNOWN
    said = [f"{key}={value}" for key, value in sorted(context.asked().items())]
    known: dict[str, tuple[str, str]] = {}
    for above in _thresholds(mine, other):
        for unit, row in other.at(above + 1).rows.items():
            price = other.at(above + 1).price(unit)
            assert price is not None
            if not _is_said(row, context, above, other):
                continue
            charged = mine.at(above + 1).price(unit) if isinstance(mine, Rates) else None
            if charged is None and not price.amount_picos:
                continue  # free there, and never charged here
            amount = lack if not isinstance(mine, Rates) else "" if charged is None else _per_million(charged)
            pair = amount, _per_million(price)
            if known.get(unit) == pair:
                continue  # this tier says no more than the one below
            known[unit] = pair
            if charged is None or not _same(charged, price):
                conditions = ";".join([*said, f"input_above={above}"] if above else said)
                yield Difference(provider, model, unit, conditions, *pair)


def _is_said(row: PriceRow, context: Context, above: int, other: Rates) -> bool:
    """Tell whether LiteLLM states this price for these very conditions: its silence is no opinion."""
    stands = row.input_above or 0
    said_here = stands == above or above not in {tier.above for tier in other.tiers}
    return said_here and context.asked().keys() <= {key for key, _ in row.conditions}


def _thresholds(mine: object, other: Rates) -> list[int]:
    """Return every context tier of either; one that the two place a single token apart is one."""
    found = {tier.above for tier in other.tiers}
    if isinstance(mine, Rates):
        found |= {tier.above for tier in mine.tiers if not found & {tier.above + 1, tier.above - 1}}
    return sorted(found)


def _same(one: Price, other: Price) -> bool:
    mine, theirs = one.amount_picos * other.per, other.amount_picos * one.per
    return abs(mine - theirs) * ROUNDING <= theirs


def _per_million(price: Price) -> str:
    return format_amount(price.amount(10**6), price.row.currency)


def read_verdicts() -> list[Verdict]:
    """Return what was decided."""
    with VERDICTS.open(encoding="utf-8") as file:
        return [Verdict(**row) for row in csv.DictReader(file)]


def judge(found: Iterable[Difference], verdicts: Sequence[Verdict]) -> tuple[list[Difference], list[Verdict]]:
    """Return the differences that no verdict decides, and the verdicts that decide none."""
    found = list(found)
    used = [any(verdict.decides(one) for one in found) for verdict in verdicts]
    undecided = [one for one in found if not any(verdict.decides(one) for verdict in verdicts)]
    return undecided, [verdict for verdict, use in zip(verdicts, used, strict=True) if not use]


if __name__ == "__main__":
    sys.exit(main())
