"""Does a value meet a JSON Schema, and if not, where and why? Pure, by a library that is loaded for those who ask.

What is said never has a value in it that was sent, only names and what the schema says; it is bounded in number and
length. A pattern has a bounded number of steps for each value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from meshctl.core.recursion import multiplies
from meshctl.errors import install

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

MOST: Final = 20
"""Faults that are told of at once."""
STEPS: Final = 20_000
"""Of a pattern that has to try again and again, in one value."""
INSTALL: Final = install("openapi")
SHALLOW: Final = 12
"""Levels that a value may have where the schema takes more and more time with each."""
_VAGUE: Final = "does not meet the schema"
_LONGEST: Final = 60
_MOST_NAMED: Final = 8
_DEEPEST: Final = 32


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a request: the members of an entry of `errors` (RFC 9457 §3 shows them so)."""

    place: str = msgspec.field(name="in")
    detail: str
    name: str = ""
    """Of the parameter."""
    pointer: str = ""
    """Where in the value, as a JSON pointer in a URI fragment (RFC 6901 §6)."""


class Schema:
    """A schema that can be asked. Raises `NotASchema` for a text that is none."""

    __slots__ = ("_made", "_multiplies", "_text", "takes")

    takes: Callable[[Any], bool]
    """Whether a value meets the schema."""

    def __init__(self, text: str, *, later: bool = False) -> None:
        """With `later` it is compiled when it is first asked, for texts that are known to be schemas."""
        self._text = text
        self._made: Validator | None = None
        self._multiplies: bool | None = None
        self.takes = self._first_taken
        if not later:
            self.takes = self._validator.is_valid

    @property
    def multiplies(self) -> bool:
        """Whether the time that it takes is multiplied by each level of a value."""
        if self._multiplies is None:
            self._multiplies = '"$defs"' in self._text and multiplies(msgspec.json.decode(self._text))
        return self._multiplies

    @property
    def _validator(self) -> Validator:
        if self._made is None:
            self._made = _compiled(self._text)
            self.takes = self._made.is_valid
        return self._made

    def _first_taken(self, value: Any) -> bool:
        return self._validator.is_valid(value)

    def faults(self, value: Any, place: str = "body", name: str = "", *, is_small: bool = True) -> list[Fault]:
        """What is wrong with it, at most `MOST` things; nothing for a value that meets the schema. Of a value that is
        not small only the first is looked for: the library finds all at once, and keeps much of each. Where levels
        multiply the work, none is: it would keep what is wrong by each way that it tried."""
        if self.takes(value):
            return []
        if self.multiplies:
            return [Fault(place, _VAGUE, name)]
        errors = islice(self._validator.iter_errors(value), MOST) if is_small else self._first(value)
        found = [Fault(place, _said(error), name, fragment(error.instance_path)) for error in errors]
        return list(dict.fromkeys(found)) or [Fault(place, _VAGUE, name)]

    def _first(self, value: Any) -> list[ValidationError]:
        import jsonschema_rs

        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return [error]
        return []


class NotASchema(ValueError):  # noqa: N818 - a claim about a text
    """A text that is no schema: what is wrong, and where in it."""

    def __init__(self, message: str, path: list[str | int]) -> None:
        super().__init__(message)
        self.path = path


def fragment(path: list[str | int]) -> str:
    """A JSON pointer as a URI fragment; "" for the whole value.

    >>> fragment(["items", 0, "a/b"])
    '#/items/0/a~1b'
    """
    if not path:
        return ""
    steps = [_short(str(step)).replace("~", "~0").replace("/", "~1") for step in path[:_DEEPEST]]
    return "#/" + "/".join(quote(step, safe="~!$&'()*+,;=:@", errors="replace") for step in steps)


def _compiled(text: str) -> Validator:
    try:
        import jsonschema_rs
    except ImportError as error:
        raise NotASchema(f"a library is not installed: {INSTALL}", []) from error

    try:
        return jsonschema_rs.validator_for(
            text,
            validate_formats=True,
            offline=True,
            mask="…",
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=STEPS),
        )
    except jsonschema_rs.ValidationError as error:
        raise NotASchema(_wrong(error), error.instance_path) from error
    except ValueError as error:
        raise NotASchema(_short(str(error)), []) from error


def _wrong(error: ValidationError) -> str:
    """What is wrong with a schema, whose values may be shown."""
    keyword = next((step for step in reversed(error.instance_path) if isinstance(step, str)), "")
    if keyword == "type":
        return f"type {_json(error.instance)} is not known"
    if error.kind.name == "format":
        return f"{_short(keyword)} is no regular expression that is known here"
    return f"{keyword or 'the schema'} {_said(error)}" if error.instance_path else _short(error.message)


def _said(error: ValidationError) -> str:
    say = _SAYINGS.get(error.kind.name)
    try:
        return say(error.kind) if say is not None else _VAGUE
    except AttributeError:
        # It says a keyword's name and something else of it, such as that a pattern took too many steps.
        return "takes too long to look at"


def _type(kind: Any) -> str:
    words = [f"an {each}" if each[0] in "aoi" else each if each == "null" else f"a {each}" for each in kind.types]
    return f"is not {' or '.join(words)}"


def _one_of(kind: Any) -> str:
    shown = [_json(each) for each in kind.options[:_MOST_NAMED]]
    more = ", …" if len(kind.options) > _MOST_NAMED else ""
    return f"is not one of {', '.join(shown)}{more}"


def _unknown(kind: Any) -> str:
    names = [_json(str(each)) for each in kind.unexpected[:_MOST_NAMED]]
    more = ", …" if len(kind.unexpected) > _MOST_NAMED else ""
    return f"has what is not known: {', '.join(names)}{more}"


def _least(word: str, form: str) -> Callable[[Any], str]:
    return lambda kind: form.format(_json(kind.limit), word, "" if kind.limit == 1 else "s")


def _any_of(kind: Any) -> str:
    return f"is none of the {len(kind.context)} forms that it may have"


_SAYINGS: Final[dict[str, Callable[[Any], str]]] = {
    "type": _type,
    "enum": _one_of,
    "const": lambda kind: f"is not {_json(kind.expected_value)}",
    "required": lambda kind: f"lacks {_json(kind.property)}",
    "dependentRequired": lambda kind: f"lacks {_json(kind.property)}",
    "additionalProperties": _unknown,
    "unevaluatedProperties": _unknown,
    "unevaluatedItems": lambda _: "has more items than are known",
    "additionalItems": _least("item", "has more than {0} {1}{2}"),
    "falseSchema": lambda _: "may not be sent",
    "minimum": _least("", "is less than {0}"),
    "maximum": _least("", "is more than {0}"),
    "exclusiveMinimum": _least("", "is not more than {0}"),
    "exclusiveMaximum": _least("", "is not less than {0}"),
    "minLength": _least("character", "has less than {0} {1}{2}"),
    "maxLength": _least("character", "has more than {0} {1}{2}"),
    "minItems": _least("item", "has less than {0} {1}{2}"),
    "maxItems": _least("item", "has more than {0} {1}{2}"),
    "minProperties": _least("name", "has less than {0} {1}{2}"),
    "maxProperties": _least("name", "has more than {0} {1}{2}"),
    "multipleOf": lambda kind: f"is no multiple of {_json(kind.multiple_of)}",
    "pattern": lambda kind: f"does not match {_json(kind.pattern)}",
    "format": lambda kind: f"is no {_short(str(kind.format))}",
    "uniqueItems": lambda _: "has an item twice",
    "contains": lambda _: "lacks an item of the kind that is needed",
    "propertyNames": lambda kind: f"has a name that {_said(kind.error)}",
    "not": lambda _: "is what it may not be",
    "anyOf": _any_of,
    "oneOf": lambda kind: _any_of(kind) if type(kind).__name__ == "OneOfNotValid" else "has more than one form at once",
}


def _json(value: object) -> str:
    return _short(msgspec.json.encode(value).decode()) if not isinstance(value, str) else f'"{_short(value)}"'


def _short(text: str) -> str:
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return "".join(c if c.isprintable() else "�" for c in shown)


def members(schema: dict[str, Any], root: dict[str, Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    """The schema and those that it is made of, references followed: whatever says of what kind a value is."""
    if depth > _DEEPEST:
        return
    yield schema
    ref = schema.get("$ref")
    named = [root.get("$defs", {}).get(ref.removeprefix("#/$defs/"))] if isinstance(ref, str) else []
    for key in ("allOf", "anyOf", "oneOf"):
        named += schema.get(key, [])
    for each in named:
        if isinstance(each, dict):
            yield from members(each, root, depth + 1)
