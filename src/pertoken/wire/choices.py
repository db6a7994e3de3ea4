"""What a client chooses beside the model: other models, a dearer tier, paid extras.

This module applies the rules on fields, headers, query parameters and tools (`request_rules`) to one request. The
result says what the call may be served as and charged for, so that the hold covers it. A choice whose cost has no bound
raises BadRequest.

A provider may read a repeated field, or a field whose name has escapes, in another way than we do. Such a body is
written anew from the values that were read here, and the provider gets that.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from pertoken.core.ceilings import PriceCap
from pertoken.core.units import DIMENSIONS
from pertoken.wire.body import decode
from pertoken.wire.content import plain
from pertoken.wire.format import BadRequest
from pertoken.wire.request_rules import Does, FieldRule, FieldTable, Where, allowed, bare, header_name

HeaderList = tuple[tuple[bytes, bytes], ...]  # of a request; hashable, so that it can be cached
BodyFields = dict[str, msgspec.Raw]

MODELS_MAX = 50  # other models that may serve one call; OpenRouter accepts fewer
UNITS_MAX = 1_000  # the most of one paid extra in one call; a request for more is refused
# The most tool calls of a research model if the request sets no max_tool_calls. No maximum is published. The hold is
# the same for every research model.
RESEARCH_CALLS_MAX = 100

# Fields inside these objects affect the cost too, so none of them may be repeated.
_NESTED = ("tools", "generationConfig", "generation_config")
_PRICED = re.compile(rb'"(?:container|environment)"\s*:\s*\{')  # fields of a tool whose inner fields affect the cost
_KIND = ("type", "id")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_value = msgspec.json.Decoder(float_hook=Decimal)
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Choices(NamedTuple):
    """What a request may be served as and charged for, other than its own model at the standard price."""

    models: tuple[str, ...] = ()
    repeats: int = 1  # how many times a model may be run and charged
    service_tier: str | None = None
    implied_tier: str | None = None  # implied by a header; it applies if the request names no tier
    speed: str | None = None
    region: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    units: tuple[tuple[str, int], ...] = ()
    hidden: str | None = None
    output_more: int = 0  # tokens beyond the cap that may be charged as output
    cap: PriceCap | None = None
    sellers: tuple[str, ...] = ()  # not empty: any seller may serve, in one of these tiers; "" is the standard tier


NOTHING = Choices()


def top_fields(body: bytes) -> BodyFields:
    """Return the top-level fields of a body. A repeated field has its last value.

    Raises BadRequest if the body is not an object.
    """
    return decode(_fields, body)


def as_read(body: bytes, fields: BodyFields) -> bytes:
    """Return a body in which no field that affects the cost is repeated. Usually this is `body` itself."""
    changed = False
    for key in _NESTED:
        raw = fields.get(key)
        if raw is not None:
            once = _once(plain(bytes(raw)))
            if len(once) != len(raw):
                fields[key] = msgspec.Raw(once)
                changed = True
    once = _encode(fields)
    return once if changed or len(once) != len(body) else body


def _once(raw: bytes) -> bytes:
    """Return an object, or a list of objects, without repeated fields, also inside fields that affect a price.

    Any other value is returned unchanged.
    """
    try:
        if _PRICED.search(raw) is not None:
            return _encode(_value.decode(raw))
        return _encode(_objects.decode(raw) if raw[:1] == b"[" else _fields.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw


def read(table: FieldTable, fields: BodyFields, headers: HeaderList, query: bytes, model: str) -> Choices:
    """Return what the request chooses. Raises BadRequest for a choice whose cost has no bound.

    `fields` is changed: each field that affects the cost is encoded anew from the value that was read.
    """
    found = _of_head(table, headers, query) if table.has_headers or table.has_query else NOTHING
    steering = () if table.plain.issuperset(fields) else [key for key in fields if _steers(table, key, fields[key])]
    names = table.name(model) if table.names else ()
    if not steering and not names:
        return found
    reader = _Reader(table, found)
    for rule in names:
        reader.apply(rule, model, "model", {})
    for key in steering:
        if key in table.outer or table.find(Where.BODY, key) is not None:
            value = _parse(fields[key], key)
            fields[key] = msgspec.Raw(_encode(value))
            reader.field(key, value)
        elif bare(key) in table.lookalikes:
            likely = table.lookalikes[bare(key)]
            raise BadRequest(f"{key}: some servers read this as {likely}; write {likely}", key)
    reader.others(names)
    return reader.choices()


def _steers(table: FieldTable, key: str, raw: msgspec.Raw) -> bool:
    """Tell whether a field may affect the cost. A field that is harmless itself is searched by bytes, not parsed."""
    if key in table.plain:
        return False
    needles = table.needles.get(key)
    # A \u escape is the only other way to write a letter in JSON.
    return needles is None or b"\\u" in bytes(raw) or any(needle in bytes(raw) for needle in needles)


def is_research(model: str) -> bool:
    """Tell whether a model is a research model, which calls its tools as often as it likes."""
    return "deep-research" in model.lower()


def read_tools(table: FieldTable, fields: BodyFields, found: Choices, model: str) -> Choices:
    """Return `found` with what the tools that run at the provider may cost.

    A tool is an object with a `type`; in Gemini's format, an object with one field for each tool. Raises BadRequest for
    a tool whose cost has no bound.
    """
    tools = _parse(fields["tools"], "tools")
    calls = _parse(fields["max_tool_calls"], "max_tool_calls") if "max_tool_calls" in fields else None
    if calls is None and is_research(model):
        calls = RESEARCH_CALLS_MAX
    reader = _Reader(table, found)
    for tool in tools if isinstance(tools, list) else [tools]:
        if not isinstance(tool, dict):
            continue
        typed = "type" in tool
        for kind in (str(tool["type"]),) if typed else tuple(tool):
            options = tool if typed else tool[kind]
            reader.tool(kind, {"max_tool_calls": calls, **(options if isinstance(options, dict) else {})})
    return reader.choices()


@lru_cache(maxsize=512)  # most calls of a client have the same headers and query
def _of_head(table: FieldTable, headers: HeaderList, query: bytes) -> Choices:
    reader = _Reader(table, NOTHING)
    named = [(header_name(name.decode("latin-1")), value.decode("latin-1").strip()) for name, value in headers]
    asked = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    for name, text in named:
        rule = table.find(Where.HEADER, name)
        if rule is not None:
            reader.apply(rule, text, name, {})
    for name, text in asked:
        rule = table.of_query(name)
        if rule is not None:
            reader.apply(rule, text, name, {})
        elif (in_body := table.find(Where.BODY, name)) is not None and in_body.does is not Does.NONE:
            raise BadRequest(f"{name} is read in the body, and not in the query: write it there", name)
    return reader.choices()


class _Reader:
    """Collects the choices of one request, field by field."""

    def __init__(self, table: FieldTable, found: Choices) -> None:
        self._table = table
        self._models = list(found.models)
        self._repeats = found.repeats
        self._chosen: dict[Does, str | None] = {
            Does.TIER: found.service_tier, Does.SPEED: found.speed, Does.REGION: found.region,
        }  # fmt: skip
        self._implied_tier = found.implied_tier
        self._attributes = dict(found.attributes)
        self._units = dict(found.units)
        self._hidden = found.hidden
        self._output_more = found.output_more
        self._cap = found.cap
        self._sellers = set(found.sellers)

    def choices(self) -> Choices:
        """Return the choices. Raises BadRequest for more than MODELS_MAX models or UNITS_MAX of a paid extra."""
        if len(set(self._models)) > MODELS_MAX:
            raise BadRequest(f"at most {MODELS_MAX} other models can be held for in one call", "models")
        for unit, quantity in self._units.items():
            if quantity > UNITS_MAX:
                raise BadRequest(f"up to {quantity} {unit} in one call; at most {UNITS_MAX} can be held for", unit)
        return Choices(
            tuple(dict.fromkeys(self._models)),
            self._repeats,
            self._chosen[Does.TIER],
            self._implied_tier,
            self._chosen[Does.SPEED],
            self._chosen[Does.REGION],
            tuple(sorted(self._attributes.items())),
            tuple(sorted(self._units.items())),
            self._hidden,
            self._output_more,
            self._cap,
            () if self._cap is not None else tuple(sorted(self._sellers)),
        )

    def field(self, key: str, value: object) -> None:
        """Apply the rules on a top-level field of the body and on the fields inside it."""
        if value is None:
            return
        rule = self._table.find(Where.BODY, key)
        if rule is not None:
            self.apply(rule, value, key, value if isinstance(value, dict) else {})
        if key in self._table.outer:
            self._inside(key, value)

    def _inside(self, key: str, value: object) -> None:
        """Apply the rules on the fields of an object, or of each object in a list.

        Rules on a kind also apply to objects in lists one level below. A text in a list is treated as an object of that
        kind.
        """
        for name in value if isinstance(value, list) else ():
            if isinstance(name, str):
                self._kind(key, {"type": name})
        for holder in _objects_in(value):
            for name, entry in holder.items():
                way = f"{key}.{name}"
                rule = self._table.find(Where.BODY, way)
                if rule is not None and entry is not None:
                    if rule.does is Does.CAP and isinstance(value, list):
                        raise BadRequest(f"{key} must be an object: a highest price in a list may not be read", key)
                    self.apply(rule, entry, way, holder)
                if way in self._table.deep:
                    self._inside(way, entry)
            below = [one for entry in holder.values() if isinstance(entry, list) for one in _objects_in(entry)]
            for one in (holder, *below):
                self._kind(key, one)

    def _kind(self, key: str, one: dict[str, Any]) -> None:
        for name in _KIND:
            kind = one.get(name)
            rule = self._table.find(Where.BODY, f"{key}:{kind}") if isinstance(kind, str) else None
            if rule is not None:
                self.apply(rule, one, f"{key}.{kind}", one)

    def tool(self, kind: str, options: dict[str, Any]) -> None:
        """Apply the rule on a tool. Raises BadRequest if there is none."""
        rule = self._table.find(Where.TOOL, kind)
        if rule is None:
            raise BadRequest(
                f"tools: what the tool {kind!r} costs is not known here; newer releases of pertoken may know it",
                "tools",
            )
        self.apply(rule, kind, f"tools.{kind}", options)

    def apply(self, rule: FieldRule, value: object, param: str, holder: Mapping[str, Any]) -> None:
        """Apply a rule to one value; `holder` is the object around it. Raises BadRequest if the rule refuses it."""
        match rule.does:
            case Does.NONE | Does.READ:
                pass
            case Does.REFUSED | Does.SELLER:
                self._refuse(rule, value, param)
            case Does.TIER | Does.SPEED | Does.REGION:
                self._choose(rule, value, param)
            case Does.MODEL | Does.EACH:
                self._name(rule, value, param)
            case Does.UNIT:
                self._charge(rule, holder, param)
            case _:
                self._note(rule, value, param)

    def _refuse(self, rule: FieldRule, value: object, param: str) -> None:
        if _is_allowed(rule, value):
            return
        if rule.does is Does.REFUSED:
            raise BadRequest(f"{param}: {rule.note}", param)
        self._sellers.add("")
        if rule.where is Where.NAME and rule.allows:
            self._sellers.add(rule.allows)

    def _name(self, rule: FieldRule, value: object, param: str) -> None:
        named = [name.removeprefix("models/") for name in _names(value, param)]
        self._models += named
        if rule.does is Does.EACH:
            self._repeats = max(self._repeats, 1 + len(named))

    def others(self, applied: Sequence[FieldRule]) -> None:
        """Apply the rules on the names of the other models, each rule once: only one of these models is charged."""
        known = list(applied)
        for model in dict.fromkeys(self._models):
            for rule in self._table.name(model):
                if rule not in known:
                    known.append(rule)
                    self.apply(rule, model, "models", {})

    def _charge(self, rule: FieldRule, holder: Mapping[str, Any], param: str) -> None:
        for unit, most in allowed(rule).items():
            if unit == "output_tokens":  # beyond the cap of the request
                self._output_more += int(most)
            elif unit == "hidden":
                self._hidden = self._hidden or f"{param}: {rule.note}"
            elif unit in DIMENSIONS:
                self._units[unit] = self._units.get(unit, 0) + _count(most, holder, param)
            else:
                self._attributes[unit] = most

    def _note(self, rule: FieldRule, value: object, param: str) -> None:
        match rule.does:
            case Does.REPEAT:
                self._repeats = max(self._repeats, int(rule.allows))
            case Does.ATTRIBUTE:
                self._attributes[rule.allows] = _text(value, param)
            case Does.HIDDEN:
                self._hidden = self._hidden or f"{param}: {rule.note}"
            case Does.OUTPUT:
                self._output_more += len(_encode(value))
            case Does.CAP:
                self._cap = _cap(value, param)
            case _:
                raise AssertionError(rule)

    def _choose(self, rule: FieldRule, value: object, param: str) -> None:
        if rule.does is Does.TIER and rule.allows:
            self._implied_tier = rule.allows
            return
        text = rule.allows or _text(value, param)
        before = self._chosen[rule.does]
        if before is not None and before.lower() != text.lower():
            raise BadRequest(f"{param}: the {rule.does} is chosen twice, as {before!r} and as {text!r}", param)
        self._chosen[rule.does] = text


def _parse(raw: msgspec.Raw, key: str) -> Any:
    try:
        return _value.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"{key} cannot be read: {error}", key) from error


def _objects_in(value: object) -> list[dict[str, Any]]:
    """Return an object, or the objects of a list."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _is_allowed(rule: FieldRule, value: object) -> bool:
    """Tell whether a rule allows a value. Null, false and empty values are always allowed."""
    if value is None or value is False or value in ("", [], {}):
        return True
    return isinstance(value, str | int) and bool(rule.allows) and str(value).lower() in rule.allows.split("|")


def _text(value: object, param: str) -> str:
    if not isinstance(value, str):
        raise BadRequest(f"{param} must be a string, not {value!r:.80}", param)
    return value


def _names(value: object, param: str) -> list[str]:
    """Return every model that a value names. Raises BadRequest if the value cannot name models.

    A value is a text, a list of values, an object with a `model`, or an object whose keys are names.
    """
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list):
        return [name for entry in value for name in _names(entry, param)]
    if isinstance(value, dict):
        if "model" in value:
            return _names(value["model"], param)
        return [name for key, entry in value.items() for name in (key, *_names(entry, param))]
    raise BadRequest(f"{param} must name models, not {value!r:.80}", param)


def _count(most: str, holder: Mapping[str, Any], param: str) -> int:
    """Return the most that a rule allows: a number, or a field of the request with a default, as in `max_uses?10`.

    Raises BadRequest if the field is not a non-negative whole number.
    """
    field, optional, number = most.rpartition("?")
    said = holder.get(field) if optional else None
    if said is None or isinstance(said, bool):
        return int(number)
    if not isinstance(said, int) or said < 0:
        raise BadRequest(f"{param}.{field} must be a non-negative whole number, not {said!r:.80}", param)
    return said or int(number)


def _cap(value: object, param: str) -> PriceCap:
    """Return the highest prices that a client accepts. Raises BadRequest if one for tokens is missing or invalid."""
    given = value if isinstance(value, dict) else {}
    try:
        prices = {name: Decimal(str(given.get(name, 0))) for name in ("prompt", "completion", "request", "image")}
    except ArithmeticError as error:
        raise BadRequest(f"{param} must be numbers", param) from error
    if not all(price.is_finite() and price >= 0 for price in prices.values()) or not {"prompt", "completion"} <= set(
        given
    ):
        raise BadRequest(f"{param} must have the highest price of prompt and of completion", param)
    return PriceCap(prices["prompt"], prices["completion"], prices["request"] + prices["image"])
