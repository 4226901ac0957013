"""What requests of a route must look like: the operations of an OpenAPI document, or the schema of a body. Frozen
values, complete in themselves: the files that they were read from are not needed once there is one of these."""

from __future__ import annotations

from typing import Literal

import msgspec


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of an operation."""

    name: str
    """Headers in lower case."""
    place: Literal["path", "query", "header", "cookie"]
    schema: str = ""
    """A JSON Schema as text, with all that it refers to; "" is anything."""
    required: bool = False
    style: Literal["simple", "form", "space", "pipe", "deep", "json"] = "simple"
    """How several values stand in one text; "json" is a document of its own."""
    explode: bool = False
    empty: bool = False
    """Whether it may be there without a value, whatever the schema says."""


class Content(msgspec.Struct, frozen=True):
    """A media type that a body may have ("application/json", "image/*", "*/*"), and the schema of those of JSON."""

    media: str
    schema: str = ""


class Operation(msgspec.Struct, frozen=True):
    """What may be asked of a path by one method."""

    method: str
    path: str
    """As the document has it, with names in braces."""
    name: str = ""
    """Its operationId."""
    parameters: tuple[Parameter, ...] = ()
    body: tuple[Content, ...] | None = None
    """None where the document says nothing of a body."""
    needs_body: bool = False


class OpenApi(msgspec.Struct, frozen=True):
    """The operations of an OpenAPI document, which are all that its route knows."""

    document: str
    """The file, as an absolute path."""
    base: str | None = None
    """The path under which those of the document stand, where the configuration says it."""
    limit: int = 1_048_576
    """The longest body that is looked at, in bytes: it is held while it comes."""
    root: str = ""
    """The path under which they do stand; "" is the root."""
    operations: tuple[Operation, ...] = ()


class BodySchema(msgspec.Struct, frozen=True):
    """A JSON Schema that bodies must meet."""

    file: str
    """As an absolute path."""
    limit: int = 1_048_576
    schema: str = ""
    """The schema as text, with all that it refers to."""
