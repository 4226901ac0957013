"""Another HTTP server that is asked whether a request may go on, as a way to know who calls. It is told what is asked
for by `X-Forwarded-*` and is shown the client's headers; what it refuses is the client's answer, as it stands.

It is told the path as routes are matched by it, normalised, so that it judges what the service gets. Nothing that a
client says of such fields reaches it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from meshctl.core.principal import Principal, Refused, RefusedElsewhere, told
from meshctl.model.auth import Auth
from meshctl.model.policy import Retry
from meshctl.model.route import Route
from meshctl.proxy.answers import Answered, Unreachable, origin
from meshctl.proxy.asking import Asking, asked, note
from meshctl.proxy.inquiry import inquire
from meshctl.proxy.tasks import spawn
from meshctl.proxy.ways import Way
from meshctl.wire.fields import HOP_BY_HOP, Fields, named_by_connection, pairs, plain

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.filtering import Waiting
    from meshctl.proxy.outward import Outward
    from meshctl.proxy.snapshot import CompiledRoute, Snapshot
    from meshctl.proxy.worker import Worker

LARGEST: Final = 262_144
"""Bytes of an answer, which is held until it is whole."""
MOST_ASKED: Final = 1_024
"""Requests that are asked about at once; more are refused."""

_REASON: Final = "auth_unavailable"
_UNAVAILABLE: Final = Refused(_REASON, "the server that is asked about requests cannot be asked at the moment")
_BUSY: Final = Refused(_REASON, "too many requests are being asked about")
_OTHERS: Final = frozenset((
    # Of the body, which it does not get, and of the resource, which it has not got.
    b"content-type", b"content-encoding", b"content-language", b"content-location", b"content-range", b"content-md5",
    b"content-digest", b"range", b"if-range", b"if-match", b"if-none-match", b"if-modified-since",
    b"if-unmodified-since",
    # By which servers are told of requests.
    b"x-real-ip", b"x-original-uri", b"x-original-url", b"x-original-method", b"x-rewrite-url", b"forwarded",
))  # fmt: skip
_TELLING: Final = b"x-forwarded-"
_is_name: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_is_value: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*").fullmatch
"""Whether it may stand in a field (RFC 9110 §5.5)."""
_NOT_PASSED_ON: Final = HOP_BY_HOP | {b"content-length", b"date", b"x-request-id", b"x-meshctl-reason"}


class ForwardAuthWay(Way):
    """See the module."""

    is_remote = True

    def __init__(self, config: Auth, worker: Worker) -> None:
        super().__init__(config, "the server that is asked about requests has to let it go on")
        assert config.forward_auth is not None
        self._config = config.forward_auth
        self._shown = frozenset(plain(name.encode()) for name in self._config.send_headers)
        self.uses_authorization = not self._shown or b"authorization" in self._shown
        names = (*self._config.copy_headers, *(name for name, _ in config.headers))
        self._told = frozenset(plain(name.encode()) for name in names) - {b"authorization"}
        self._copied = {name.encode(): name for name in self._config.copy_headers}
        self._worker = worker
        self._under_way = 0
        self._route: CompiledRoute | None = None
        self._outward = _way_out(worker) if self._config.url else None

    def find(self, exchange: Exchange, shown: Fields) -> Principal | Refused | Waiting:
        """See `Way`."""
        asking = asked(exchange, self)
        if asking is None:
            if self._under_way >= MOST_ASKED:
                return _BUSY
            asking = note(exchange, self, Asking(_REASON, self._config.timeout))
            self._begin(exchange, asking)
        return asking.outcome

    def challenge(self, realm: str, refused: Refused) -> str:
        """See `Way`: it says so itself, if anybody."""
        return ""

    # the question

    def _begin(self, exchange: Exchange, asking: Asking) -> None:
        self._under_way += 1
        fields = [line for line in exchange.request.fields if self._is_shown(line, exchange.request.named)]
        agent = exchange.request.special.get(b"user-agent")
        if agent is not None and (not self._shown or b"user-agent" in self._shown):
            fields.append(b"User-Agent: " + agent)
        query = exchange.request.query_string
        uri = exchange.path if query is None else f"{exchange.path}?{query}"
        fields += (
            b"X-Forwarded-Method: " + exchange.request.method.encode(),
            b"X-Forwarded-Uri: " + uri.encode("latin-1"),
        )
        if self._outward is not None:
            spawn(self._ask_outside(self._outward, fields + _who_it_was(exchange), asking), name="forward auth")
            return
        route = self._route_in(exchange.snapshot)
        if route is None:
            self._answered(Unreachable(f'service "{self._config.service}" does not exist'), asking)
            return
        inquire(exchange, route, self._config.path, fields, lambda said: self._answered(said, asking))

    def _is_shown(self, line: bytes, named: frozenset[bytes]) -> bool:
        low = line[: line.index(b":")].lower()
        name = plain(low)
        if name in _OTHERS or name in self._told or name.startswith(_TELLING) or low in named:
            return False
        return not self._shown or name in self._shown

    def _route_in(self, snapshot: Snapshot) -> CompiledRoute | None:
        """The route by which the service is asked: counted and logged under a name of its own, `auth#NAME`."""
        from meshctl.proxy.snapshot import CompiledRoute

        service = snapshot.services.get(self._config.service)
        if service is not None and (self._route is None or self._route.service is not service):
            route = Route(
                f"auth#{self.name}",
                service=service.name,
                timeout=self._config.timeout,
                retry=service.config.retry or Retry(),
                response_bytes=LARGEST,
            )
            self._route = CompiledRoute(route, service, 0, self._worker, None)
        return self._route if service is not None else None

    async def _ask_outside(self, outward: Outward, fields: Fields, asking: Asking) -> None:
        said: Answered | Unreachable = Unreachable("is no longer asked")
        config = self._config
        try:
            said = await outward.ask(
                "GET",
                config.url,
                fields=fields,
                timeout=config.timeout,
                limit=LARGEST,
                ca=config.ca,
                may_repeat=True,
            )
        except Unreachable as error:
            said = error
        finally:
            self._answered(said, asking)

    # the answer

    def _answered(self, said: Answered | Unreachable, asking: Asking) -> None:
        self._under_way -= 1
        found: Principal | Refused = _UNAVAILABLE
        try:
            if isinstance(said, Unreachable):
                raise said
            found = self._judged(said)
        except Unreachable as error:
            self._worker.complaints.tell("forward_auth_failed", _REASON, way=self.name, error=str(error))
        asking.answered(found, self._worker.loop)

    def _judged(self, said: Answered) -> Principal | Refused:
        if 200 <= said.status < 300:
            return self._principal(said.fields)
        if not 300 <= said.status < 600 or said.status == 304:
            raise Unreachable(f"{origin(self._config.url) or self._config.service} answers {said.status}, no verdict")
        return RefusedElsewhere(
            "auth_refused",
            "the server that is asked about requests does not let this one go on",
            said.status,
            tuple(passed_on(said.fields)),
            said.body,
        )

    def _principal(self, fields: Fields) -> Principal:
        """Who calls, by what the answer says in the headers that are copied."""
        lines, values = [], {name: list[str]() for name in self._config.copy_headers}
        for name, value in pairs(fields):
            copied = self._copied.get(name.lower())
            if copied is not None and value and _is_value(value):
                lines.append(b"%b: %b" % (copied.encode(), value))
                values[copied] += [each.strip() for each in value.decode("utf-8", "replace").split(",")]
        claims: dict[str, object] = {
            name: found[0] if len(found) == 1 else found for name, found in values.items() if found
        }
        first = self._config.copy_headers[0] if self._config.copy_headers else ""
        subject = ",".join(values[first]) if first else ""
        if subject:
            claims.setdefault("sub", subject)
        # It is asked about each request.
        return Principal(subject, self.name, claims, until=0.0, told=(*told(self.config.headers, claims), *lines))


def _way_out(worker: Worker) -> Outward:
    # aiohttp is loaded with it.
    from meshctl.proxy.outward import outward

    return outward(worker)


def _who_it_was(exchange: Exchange) -> Fields:
    """What services are told by `proxy.forward`, for a server that is none."""
    request, stream = exchange.request, exchange.stream
    before = request.special if stream.trusted else {}
    client = stream.client.encode("latin-1")
    chain = before.get(b"x-forwarded-for")
    return [
        b"X-Forwarded-Proto: " + before.get(b"x-forwarded-proto", stream.scheme.encode()),
        b"X-Forwarded-Host: " + before.get(b"x-forwarded-host", request.authority),
        b"X-Forwarded-For: " + (chain + b", " + client if chain else client),
        b"X-Request-Id: " + exchange.request_id,
        b"traceparent: " + exchange.context,
    ]


def passed_on(fields: Fields) -> Fields:
    """The fields of an answer that may go on to the client: those that are not about its connection, and none that the
    proxy writes itself."""
    named = frozenset[bytes]().union(
        *(named_by_connection(value) for name, value in pairs(fields) if name.lower() == b"connection")
    )
    return [
        b"%b: %b" % (name, value)
        for name, value in pairs(fields)
        if name.lower() not in _NOT_PASSED_ON and name.lower() not in named and _is_name(name) and _is_value(value)
    ]
