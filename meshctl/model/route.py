"""Routes: which requests are meant (`Match`) and what is done with them."""

from __future__ import annotations

from typing import Literal

import msgspec

from meshctl.model.api import ApiMatch, ApiRoute
from meshctl.model.auth import Need
from meshctl.model.caching import Caching
from meshctl.model.checked import BodySchema, OpenApi
from meshctl.model.limits import Quota, RateLimit
from meshctl.model.part import Part
from meshctl.model.passing import Compression, Cors, JsonEdits, SecurityHeaders
from meshctl.model.policy import Retry


class PathMatch(msgspec.Struct, frozen=True):
    """A condition on the normalised path (RFC 3986 §6.2.2): a prefix ends on a segment boundary, a regex matches it
    whole, and so does a template, which has names for segments (`core.path_template`)."""

    kind: Literal["prefix", "exact", "regex", "template"] = "prefix"
    value: str = "/"


class ValueMatch(msgspec.Struct, frozen=True):
    """A condition on one header (name in lower case), one cookie or one query parameter."""

    name: str
    kind: Literal["exact", "regex", "present"] = "exact"
    value: str = ""


class Match(msgspec.Struct, frozen=True):
    """All conditions must hold; an empty tuple asks nothing. Hosts are in lower case, exact or "*.suffix"."""

    hosts: tuple[str, ...] = ()
    path: PathMatch = PathMatch()
    methods: tuple[str, ...] = ()
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()
    cookies: tuple[ValueMatch, ...] = ()
    api: ApiMatch | None = None


class Rewrite(msgspec.Struct, frozen=True):
    """Changes to the forwarded target: `prefix` takes the matched prefix's place, `path` the whole path's, `host` the
    Host's."""

    prefix: str | None = None
    path: str | None = None
    host: str | None = None


class HeaderEdits(msgspec.Struct, frozen=True):
    """Edits to a message's headers, in this order: rename, remove, set, add. Names in lower case; values may have
    variables (`core.template`)."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    """Old and new names. What has the new name already gives way."""


class QueryEdits(msgspec.Struct, frozen=True):
    """Edits to a request's query on its way to the service, in the same order; values may have variables."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()


class Redirect(msgspec.Struct, frozen=True):
    """An answer with a Location: what is not given stays as in the request. `prefix` takes the matched prefix's
    place."""

    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    path: str | None = None
    prefix: str | None = None
    status: int = 302


class Respond(msgspec.Struct, frozen=True):
    """A fixed answer."""

    status: int = 200
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


class Require(msgspec.Struct, frozen=True):
    """A rule: a request of these methods and paths must have all that is asked. Empty asks nothing; of `scopes` and
    `claims` all must be there, of everything else one."""

    name: str
    methods: tuple[str, ...] = ()
    paths: tuple[PathMatch, ...] = ()
    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Names with the values that will do."""
    subjects: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    """Of API keys."""
    identities: tuple[str, ...] = ()
    """SPIFFE IDs, or services of the mesh by name."""
    addresses: tuple[str, ...] = ()
    """Networks (CIDR) of clients."""


class Route(msgspec.Struct, frozen=True):
    """One rule. Exactly one of `service`, `redirect`, `respond` and `parts` is given."""

    name: str
    match: Match = Match()
    service: str | None = None
    version: str | None = None
    """The one version of the service that is meant, whatever the weights; None is the service's split."""
    redirect: Redirect | None = None
    respond: Respond | None = None
    parts: tuple[Part, ...] = ()
    """Of which its answer is made."""
    rewrite: Rewrite = Rewrite()
    request_headers: HeaderEdits = HeaderEdits()
    response_headers: HeaderEdits = HeaderEdits()
    request_query: QueryEdits = QueryEdits()
    timeout: float = 0.0
    """Seconds for the whole exchange, from head to last byte; 0 is none, so that streams live."""
    retry: Retry = Retry()
    priority: Literal["high", "normal", "low"] = "normal"
    """Who waits first where a service is limited, and who is refused last where the proxy cannot keep up."""
    body_bytes: int = 0
    """The longest request body accepted, in bytes; 0 takes the gateway's limit."""
    auth: Need | None = None
    """How its callers must be known; None asks nobody."""
    require: tuple[Require, ...] = ()
    """What they must have then. The first rule that is not met refuses."""
    rate_limits: tuple[RateLimit, ...] = ()
    """All of which a request must keep."""
    quotas: tuple[Quota, ...] = ()
    allow_addresses: tuple[str, ...] = ()
    """Networks (CIDR) from which alone it may be asked; empty is everywhere."""
    deny_addresses: tuple[str, ...] = ()
    """Networks from which it may not."""
    response_bytes: int = 0
    """The longest body of an answer, in bytes; 0 is any."""
    bandwidth: int = 0
    """Bytes of an answer's body in a second; 0 is as fast as it goes."""
    cors: Cors | None = None
    """Which pages of other origins may read its answers; None leaves that to the service."""
    security_headers: SecurityHeaders | None = None
    """What browsers are told with its answers."""
    compression: Compression | None = None
    """How its answers are compressed; None passes them as they come."""
    openapi: OpenApi | None = None
    """The operations that it knows; None asks nothing of requests."""
    request_schema: BodySchema | None = None
    """What bodies must meet."""
    request_body: JsonEdits | None = None
    response_body: JsonEdits | None = None
    cache: Caching | None = None
    """Which answers are kept; None keeps none."""
    login: str = ""
    """The way to know who calls whose browsers come back or sign out here; no file says this (`Mesh.served`)."""
    api: ApiRoute | None = None
    """The version of an API that it is."""
    entry: str = "gateway"
    """Which listeners it is for (`Listener.entry`). What a configuration writes is for the gateway's; a sidecar makes
    its own for the others."""

    @property
    def written(self) -> str:
        """The name of the route in the file, of which this may be one of several: its limits count for all of them."""
        return (self.api.route if self.api is not None else "") or self.name

    @property
    def services(self) -> tuple[str, ...]:
        """The services it leads to: one, those of its parts, or none."""
        return (self.service,) if self.service is not None else tuple(part.service for part in self.parts)
