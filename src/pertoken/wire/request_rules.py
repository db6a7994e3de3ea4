"""Rules on how each field of a request affects its cost: their shape, and how to find the rule on a field.

The rules are reviewed data in `data/request_fields.csv`; the README in that directory describes them.
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
    """How a field affects the cost of a call, in order of severity."""

    NONE = "none"  # no effect that the length of the body does not bound
    READ = "read"  # the format's own reader bounds the effect
    HIDDEN = "hidden"  # the model may read more than the body shows
    OUTPUT = "output"  # the content of the field may be charged as output too
    ATTRIBUTE = "attribute"  # a condition of prices, such as the size of a search's context
    UNIT = "unit"  # a paid extra, with a maximum
    REPEAT = "repeat"  # the model may be run and charged several times
    REGION = "region"
    SPEED = "speed"
    TIER = "tier"
    MODEL = "model"  # one of the models it names may be served instead
    EACH = "each"  # every model it names may be run and charged
    SELLER = "seller"  # chooses a seller with its own price: hold at the dearest known price, or at the request's cap
    CAP = "cap"  # the highest price per million tokens that the client accepts
    REFUSED = "refused"


SEVERITY = {does: rank for rank, does in enumerate(Does)}
HARMLESS = (Does.NONE, Does.READ)


class Where(StrEnum):
    """The part of a request that a rule is about."""

    BODY = "body"  # a top-level field; `a.b`: a field inside one; `a:kind`: an object of that type or id inside one
    TOOL = "tool"  # the type of a tool; in Gemini's format its name
    HEADER = "header"
    QUERY = "query"
    NAME = "name"  # the name of a model
    SERVED = "served"  # a requested `key=value`; the values in `allows` may be served instead, if they have a price


class FieldRule(NamedTuple):
    """One reviewed row: the effect of one field at one provider, or at every provider."""

    format: str  # a format, or a prefix of several; empty: every format
    provider: str  # empty: every provider
    where: Where
    field: str  # an asterisk at the end or the beginning matches any text
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
        return FieldTable, (self._all(),)  # pickled for the process that reads large bodies, without the caches

    def find(self, where: Where, field: str) -> FieldRule | None:
        """Return the closest rule on a field, or None if there is no rule."""
        rule = self._exact.get((where, field))
        if rule is not None:
            return rule
        return next((one for one in self._starred if one.where is where and _fits(one.field, field)), None)

    def of_query(self, name: str) -> FieldRule | None:
        """Return the rule on a query parameter. If there is none, return the rule on the header of the same name."""
        for one in (name, name.lower()):
            rule = self.find(Where.QUERY, one)
            if rule is not None:
                return rule
        return self.find(Where.HEADER, header_name(name))

    def _name(self, model: str) -> list[FieldRule]:
        """Return the rules on a model's name, also on the name with each of its variants alone."""
        base, *variants = model.lower().split(":")
        names = {model.lower(), *(f"{base}:{variant}" for variant in variants)}
        return [rule for rule in self.names if any(_fits(rule.field, one) for one in names)]

    def _all(self) -> list[FieldRule]:
        return [*self._exact.values(), *self._starred]


class RequestRules:
    """All rules. For a provider that was not reviewed, the strictest rule of any provider applies to each field."""

    def __init__(
        self, rules: Iterable[FieldRule], reviewed: Iterable[str], two_spellings: Collection[str] = ()
    ) -> None:
        """Take the rules, the reviewed providers, and the formats whose fields have two spellings."""
        self.rules = tuple(rules)
        self._two_spellings = frozenset(two_spellings)
        self._reviewed = frozenset(reviewed)
        self.of = cache(self._of)

    def served(self, provider: str, key: str, value: str) -> tuple[str, ...]:
        """Return the values that `provider` may serve instead of a requested `key=value`, in any format."""
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
        if other.provider and rule.provider and rule.provider != other.provider:  # the provider was not reviewed
            return SEVERITY[rule.does] > SEVERITY[other.does]
        return (bool(rule.provider), len(rule.format)) > (bool(other.provider), len(other.format))


def header_name(name: str) -> str:
    """Return a header's name in the form in which servers compare it. Some treat an underscore as a dash."""
    return name.lower().replace("_", "-")


def bare(field: str) -> str:
    """Return a field's name in lower case, without dashes and underscores. The most lenient servers compare it so."""
    return field.lower().replace("_", "").replace("-", "")


def _needles(key: str, inner: Iterable[FieldRule]) -> tuple[bytes, ...]:
    """Return byte strings, one of which is in the JSON of a harmless field if a field inside it affects the cost."""
    steering = [rule.field for rule in inner if _top(rule.field) == key and rule.does not in HARMLESS]
    return tuple(f'"{_SEPARATOR.split(field)[-1].rstrip("*")}'.encode() for field in steering)


def _spellings(rule: FieldRule) -> list[str]:
    """Return every spelling of a field. A protobuf service accepts each part in camelCase and in snake_case."""
    if rule.where not in (Where.BODY, Where.TOOL):
        return [rule.field]
    ways = [dict.fromkeys((part, _CAPITAL.sub(r"_\1", part).lower())) for part in rule.field.split(".")]
    return [".".join(parts) for parts in product(*ways)]


def _top(field: str) -> str:
    return field.partition(".")[0].partition(":")[0]


def _ways(field: str) -> list[str]:
    """Return the fields that contain a field, without the outermost: for `a.b.c`, `a.b`."""
    parts = field.split(".")
    return [".".join(parts[:size]) for size in range(2, len(parts))]


def _fits(pattern: str, field: str) -> bool:
    head, star, tail = pattern.partition("*")
    if not star:
        return pattern == field
    return len(field) >= len(head) + len(tail) and field.startswith(head) and field.endswith(tail)


def allowed(rule: FieldRule) -> Mapping[str, str]:
    """Return the `name=value` pairs that a rule allows. A name alone has an empty value."""
    return dict(pair.partition("=")[::2] for pair in rule.allows.split(";") if pair)
