"""What an operation, or a schema alone, asks of a request, compiled: what is wrong with its head, and with its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from meshctl.core.instances import SHALLOW, Fault, Schema
from meshctl.core.json_edits import MEDIA, decode, is_deeper
from meshctl.core.operations import Operations
from meshctl.core.parameters import Asked, Parameters
from meshctl.model.checked import Content, OpenApi, Operation

_LARGE: Final = 256 * 1024
"""Characters of all schemas of a document."""
_FEW: Final = 200
"""Values in a body, about, up to which all that is wrong is told."""


class Unacceptable(ValueError):  # noqa: N818 - a claim about a body
    """A body of another media type than those that may be: `accepted`."""

    def __init__(self, detail: str, accepted: str) -> None:
        super().__init__(detail)
        self.accepted = accepted


class Body:
    """What is asked of a body."""

    def __init__(self, content: tuple[Content, ...], *, later: bool = False) -> None:
        ranked = sorted(content, key=lambda each: (each.media.count("*"), -len(each.media)))
        self._ranked = [(each.media, Schema(each.schema, later=later) if each.schema else None) for each in ranked]
        self.accepted = ", ".join(each.media for each in content)

    def schema(self, media: str) -> Schema | None:
        """The schema for bodies of that media type, None where none is checked. Raises Unacceptable."""
        for known, schema in self._ranked:
            if media == known or fits(media, known):
                return schema if schema is not None and any(fits(media, each) for each in MEDIA) else None
        said = f"the body is {media[:60]}" if media else "the request does not say what its body is"
        raise Unacceptable(said, self.accepted)


class Checked(NamedTuple):
    """One operation."""

    operation: Operation
    parameters: Parameters
    body: Body | None
    """None where any body passes."""

    def faults(self, request: Asked, names: tuple[str, ...], values: tuple[str, ...]) -> list[Fault]:
        """What is wrong with the request's parameters."""
        path: Mapping[str, str] = dict(zip(names, values, strict=True)) if names else {}
        return self.parameters.faults(request, path)


def operations(api: OpenApi) -> Operations[Checked]:
    """The operations of a document. Those of a large one are compiled when they are first asked for: all at once would
    hold up what is under way."""
    later = sum(map(_size, api.operations)) > _LARGE
    return Operations(((each.method, each.path, _checked(each, later)) for each in api.operations), api.root)


def _size(each: Operation) -> int:
    return sum(len(one.schema) for one in each.parameters) + sum(len(one.schema) for one in each.body or ())


def _checked(each: Operation, later: bool) -> Checked:
    body = Body(each.body, later=later) if each.body is not None else None
    return Checked(each, Parameters(each.parameters, later=later), body)


def body_faults(schema: Schema, body: bytes) -> list[Fault]:
    """What is wrong with a body of JSON."""
    try:
        value = decode(body)
    except ValueError as error:
        return [Fault("body", str(error))]
    if b"\\u" in body and not _is_unicode(value):
        return [Fault("body", "has half of a surrogate pair, which is no character")]
    if schema.multiplies and is_deeper(value, SHALLOW):
        return [Fault("body", f"is nested more than {SHALLOW} deep")]
    return schema.faults(value, is_small=body.count(b",") + body.count(b":") <= _FEW)


def _is_unicode(value: object) -> bool:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
    return True


def fits(media: str, known: str) -> bool:
    """Whether a media type is `known`, in which a star stands for any word."""
    if known in (media, "*/*"):
        return bool(media)
    kind, _, what = known.partition("/")
    given, _, rest = media.partition("/")
    if kind != given or "*" not in what:
        return False
    before, _, after = what.partition("*")
    return rest.startswith(before) and rest.endswith(after) and len(rest) > len(before) + len(after)


def media_type(content_type: str | None) -> str:
    """The media type of a Content-Type, without parameters."""
    return (content_type or "").partition(";")[0].strip().lower()
