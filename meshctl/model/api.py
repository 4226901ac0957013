"""Versions of an API: how a request says which one it means, where each leads, and until when: frozen values of what
the user wants.

Not to be confused with the versions of a service, which are labels on its endpoints.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class ApiMatch(msgspec.Struct, frozen=True):
    """A condition on the version that a request asks for: it is among `versions`, or where those are empty, it is none
    of `known`. All versions of an API ask the same, so that it is looked for once.

    "header" and "query": the one called `form`. "media_type": Accept or, where that names none, Content-Type, written
    as `form`. "path": none of this, but the whole path matches the regex `form`."""

    kind: Literal["header", "query", "media_type", "path"]
    form: str
    known: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """How a request says which version it means. `value` is a header's or a parameter's name, or how a path's beginning
    or a media type is written around "{version}"."""

    kind: Literal["path", "header", "query", "media_type"] = "path"
    value: str = "/{version}"


class ApiVersion(msgspec.Struct, frozen=True):
    """One version of an API. What it does not say of where it leads its routes do. Moments are seconds since the
    epoch."""

    name: str
    aliases: tuple[str, ...] = ()
    """What it is called, too."""
    service: str | None = None
    version: str | None = None
    """The one version of the service that is meant."""
    prefix: str | None = None
    """Takes the matched prefix's place in what is forwarded."""
    deprecated: float | None = None
    """From when on it should not be used any more (RFC 9745); may be to come."""
    sunset: float | None = None
    """When it is expected to be gone (RFC 8594)."""
    link: str = ""
    """Where people read about that."""

    @property
    def spellings(self) -> tuple[str, ...]:
        """All that it is called."""
        return (self.name, *self.aliases)

    @property
    def is_ending(self) -> bool:
        """Whether anybody was told to leave it."""
        return self.deprecated is not None or self.sunset is not None


class Api(msgspec.Struct, frozen=True):
    """An API in all of its versions. A route that belongs to it stands for one route to each of them."""

    name: str
    by: Told = Told()
    default: str | None = None
    """The version of requests that say none; without one they are refused."""
    strip: bool = False
    """Whether the version's segment is taken out of a path before it is forwarded."""
    enforce_sunset: bool = False
    """Whether a version is refused from its sunset on."""
    versions: tuple[ApiVersion, ...] = ()


class ApiRoute(msgspec.Struct, frozen=True):
    """Of which API a route is, and which part of it.

    "written" is how the file has it. "version" takes requests for a version, "default" those that say none; "unknown"
    refuses those for one that there is not, "missing" those that say none where they must."""

    api: str
    route: str = ""
    """The name of the route in the file."""
    part: Literal["written", "version", "default", "unknown", "missing"] = "written"
    version: str = ""
    known: tuple[str, ...] = ()
    """The versions there are, where it refuses."""
    status: int = 0
    """What it refuses with."""
    vary: tuple[str, ...] = ()
    """The headers that decide about the version, for the caches between."""
    deprecated: float | None = None
    sunset: float | None = None
    link: str = ""
    is_enforced: bool = False
    before: str = ""
    """What stands in its path before that of the file."""

    @property
    def is_ending(self) -> bool:
        """Whether anybody was told to leave its version."""
        return self.deprecated is not None or self.sunset is not None
