"""Which field of a request does what to its cost: the shape of the rules, and finding the one on a field.

The rules themselves are reviewed data (`data/request_fields.csv`, described in the README beside it).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

_CAPITAL = re.compile("([A-Z])")
_SEPARATOR = re.compile("[.:]")


class Does(StrEnum):
    """What a field does to the cost of a call, the harmless first."""

    NONE = "none"  # nothing that the bytes of the body do not bound
    READ = "read"  # the format's own reader bounds it
    HIDDEN = "hidden"  # the model may read more than the body shows
    OUTPUT = "output"  # what it holds may be charged as output once more
    ATTRIBUTE = "attribute"  # a condition of prices, such as the size of a search's context
    UNIT = "unit"  # a paid extra, and how many at most
    REPEAT = "repeat"  # the model may be run and charged so many times
    REGION = "region"
    SPEED = "speed"
    TIER = "tier"
    MODEL = "model"  # one of the models it names may be served instead
    EACH = "each"  # every model it names may be run and charged
    SELLER = "seller"  # who sells, at a price of his own: the dearest that is known, or the one that the request caps
    CAP = "cap"  # the highest price per million tokens that the client accepts
    REFUSED = "refused"


SEVERITY = {does: rank for rank, does in enumerate(Does)}
HARMLESS = (Does.NONE, Does.READ)


class Where(StrEnum):
    """Which part of a request a rule is about."""

    BODY = "body"  # a top-level field; `a.b`: a field inside one; `a:kind`: an object of that type or id inside one
    TOOL = "tool"  # a tool's type; of Gemini its name
    HEADER = "header"
    QUERY = "query"
    NAME = "name"  # of a model
    SERVED = "served"  # `key=value` that was asked for and may be served as what is allowed, where that has a price


class FieldRule(NamedTuple):
    """One reviewed row: what one field does at one provider, or at every one."""

    format: str  # a format, or how the names of several begin; empty: every one
    provider: str  # empty: every one
    where: Where
    field: str  # an asterisk at its end or beginning stands for anything
    does: Does
    allows: str = ""
    note: str = ""


class FieldTable:
    """The rules of one format at one provider."""

    def __init__(self, rules: Iterable[FieldRule]) -> None:
        self._exact: dict[tuple[Where, str], FieldRule] = {}
        self._starred: list[FieldRule] = []
        for rule in rules:
            if "*" in rule.field:
                self._starred.append(rule)
            else:
                self._exact[rule.where, rule.field] = rule
        self._starred.sort(key=lambda rule: -len(rule.field))
        body = {field: rule for (where, field), rule in self._exact.items() if where is Where.BODY}
        starred = [rule for rule in self._starred if rule.where is Where.BODY]
        inner = [rule for rule in [*body.values(), *starred] if rule.field != _top(rule.field)]
        self.outer = frozenset(_top(rule.field) for rule in inner if rule.does not in HARMLESS)
        self.deep = frozenset(way for rule in inner for way in _ways(rule.field))
        self.needles = {key: _needles(key, inner) for key in self.outer if key in body and body[key].does in HARMLESS}
        self.plain = frozenset(field for field, rule in body.items() if rule.does in HARMLESS) - self.outer
        self.lookalikes = {bare(field): field for field in body if field == _top(field)}
        self.names = tuple(rule for rule in self._all() if rule.where is Where.NAME)
        self.name = lru_cache(maxsize=1024)(self._name)
        self.has_headers = any(rule.where is Where.HEADER for rule in self._all())
        self.has_query = any(rule.where is Where.QUERY for rule in self._all())

    def __reduce__(self) -> tuple[type["FieldTable"], tuple[list[FieldRule]]]:
        return FieldTable, (self._all(),)  # for the process that reads large bodies; what is remembered stays here

    def find(self, where: Where, field: str) -> FieldRule | None:
        """Return the rule on a field, the closest; None where nobody has written one."""
        rule = self._exact.get((where, field))
        if rule is not None:
            return rule
        return next((one for one in self._starred if one.where is where and _fits(one.field, field)), None)

    def of_query(self, name: str) -> FieldRule | None:
        """Return the rule on a query parameter. What is a header elsewhere may be meant by one, too."""
        for one in (name, name.lower()):
            rule = self.find(Where.QUERY, one)
            if rule is not None:
                return rule
        return self.find(Where.HEADER, header_name(name))

    def _name(self, model: str) -> list[FieldRule]:
        """Return the rules on a model's name, with each of its variants."""
        base, *variants = model.lower().split(":")
        names = {model.lower(), *(f"{base}:{variant}" for variant in variants)}
        return [rule for rule in self.names if any(_fits(rule.field, one) for one in names)]

    def _all(self) -> list[FieldRule]:
        return [*self._exact.values(), *self._starred]


class RequestRules:
    """All rules. A provider that nobody has reviewed may be any: of the rules on a field the strictest holds."""

    def __init__(
        self, rules: Iterable[FieldRule], reviewed: Iterable[str], two_spellings: Collection[str] = ()
    ) -> None:
        """Take the rules, the providers that were reviewed, and the formats whose fields are spelt in two ways."""
        self.rules = tuple(rules)
        self._two_spellings = frozenset(two_spellings)
        self._reviewed = frozenset(reviewed)
        self.of = cache(self._of)

    def served(self, provider: str, key: str, value: str) -> tuple[str, ...]:
        """Return what `provider` may serve a call as that asked for `key=value`, in any format."""
        asked = f"{key}={value}"
        rules = (rule for rule in self.rules if rule.where is Where.SERVED and rule.field == asked)
        return tuple(one for rule in rules if self._concerns(rule, provider) for one in rule.allows.split("|"))

    def _of(self, format_name: str, provider: str) -> FieldTable:
        """Return the rules of a format at a provider."""
        found: dict[tuple[Where, str], FieldRule] = {}
        for rule in self.rules:
            if not format_name.startswith(rule.format) or not self._concerns(rule, provider):
                continue
            for field in _spellings(rule) if format_name in self._two_spellings else (rule.field,):
                key = (rule.where, field)
                if key not in found or self._outranks(rule, found[key]):
                    found[key] = rule._replace(field=field)
        return FieldTable(found.values())

    def _concerns(self, rule: FieldRule, provider: str) -> bool:
        return rule.provider in ("", provider) or provider not in self._reviewed

    def _outranks(self, rule: FieldRule, other: FieldRule) -> bool:
        if other.provider and rule.provider and rule.provider != other.provider:  # of a provider nobody has reviewed
            return SEVERITY[rule.does] > SEVERITY[other.does]
        return (bool(rule.provider), len(rule.format)) > (bool(other.provider), len(other.format))


def header_name(name: str) -> str:
    """Return a header's name as servers compare it: some take an underscore for a dash."""
    return name.lower().replace("_", "-")


def bare(field: str) -> str:
    """Return a field's name as the least strict of servers compares it: without case, dashes and underscores."""
    return field.lower().replace("_", "").replace("-", "")


def _needles(key: str, inner: Iterable[FieldRule]) -> tuple[bytes, ...]:
    """Return what stands in the JSON of a harmless field wherever something inside it steers."""
    steering = [rule.field for rule in inner if _top(rule.field) == key and rule.does not in HARMLESS]
    return tuple(f'"{_SEPARATOR.split(field)[-1].rstrip("*")}'.encode() for field in steering)


def _spellings(rule: FieldRule) -> list[str]:
    """Return every way to write a field: a protobuf service takes each in camelCase and in snake_case."""
    if rule.where not in (Where.BODY, Where.TOOL):
        return [rule.field]
    ways = [dict.fromkeys((part, _CAPITAL.sub(r"_\1", part).lower())) for part in rule.field.split(".")]
    return [".".join(parts) for parts in product(*ways)]


def _top(field: str) -> str:
    return field.partition(".")[0].partition(":")[0]


def _ways(field: str) -> list[str]:
    """Return the fields that contain a field, without the outermost: of `a.b.c` it is `a.b`."""
    parts = field.split(".")
    return [".".join(parts[:size]) for size in range(2, len(parts))]


def _fits(pattern: str, field: str) -> bool:
    head, star, tail = pattern.partition("*")
    if not star:
        return pattern == field
    return len(field) >= len(head) + len(tail) and field.startswith(head) and field.endswith(tail)


def allowed(rule: FieldRule) -> Mapping[str, str]:
    """Return the `name=value` pairs that a rule allows; a name alone has no value."""
    return dict(pair.partition("=")[::2] for pair in rule.allows.split(";") if pair)
