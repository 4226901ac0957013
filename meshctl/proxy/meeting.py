"""Another member of the mesh, met as its caller: nobody says a word to it before it has proved to be the service that
is meant."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from meshctl import clock
from meshctl.proxy.dialing import Unreached
from meshctl.proxy.handshakes import reason_of
from meshctl.proxy.membership import Member
from meshctl.proxy.mesh_tls import HTTP, RAW, MeshTls
from meshctl.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from meshctl.proxy.endpoint import LiveEndpoint

P = TypeVar("P", bound=asyncio.BaseProtocol)


async def meet(endpoint: LiveEndpoint, host: str, make: Callable[[], P], *, is_raw: bool) -> Meeting[P]:
    """A connection to the sidecar at `endpoint`, spoken to by the protocol that `make` makes; `is_raw` for bytes
    instead of HTTP. Raises Unreached, counted and told, where it is not who it should be; else OSError."""
    worker = endpoint.worker
    shown = worker.mesh_tls
    if shown is None:
        raise _refused(endpoint, "no_identity", "this proxy has no identity in the mesh")
    context = shown.client(RAW if is_raw else HTTP)
    meeting = Meeting(endpoint, make, shown, is_raw=is_raw)
    try:
        # No server name is given: it would stand on the wire in the clear, and prove nothing.
        await worker.loop.create_connection(
            lambda: meeting, host, endpoint.config.port, ssl=context, server_hostname=""
        )
    except BaseException as error:
        if meeting.transport is not None:
            # It has come about, just too late: the loop, which has closed what is below, would go on with what is left.
            meeting.transport.abort()
        if isinstance(error, ssl.SSLCertVerificationError):
            raise _refused(endpoint, *reason_of(error)) from error
        raise
    if meeting.reason:
        raise _refused(endpoint, meeting.reason, meeting.detail)
    return meeting


async def open_stream(endpoint: LiveEndpoint, host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of its own for a health check. Raises OSError."""
    loop = endpoint.worker.loop
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        meeting = await meet(endpoint, host, lambda: protocol, is_raw=False)
    except Unreached as problem:
        raise ConnectionError(problem.detail) from problem
    return reader, asyncio.StreamWriter(meeting.transport, protocol, reader, loop)


class Meeting(asyncio.Protocol, Generic[P]):
    """A connection whose handshake is under way: once that is over, and the endpoint is who it should be, the protocol
    that `make` makes speaks."""

    made: P

    def __init__(self, endpoint: LiveEndpoint, make: Callable[[], P], shown: MeshTls, *, is_raw: bool) -> None:
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.reason = ""
        self.detail = ""
        self._endpoint = endpoint
        self._make = make
        self._shown = shown
        self._is_raw = is_raw

    def __repr__(self) -> str:
        return f"<Meeting {self._endpoint.address} {self.reason}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        end = self.transport = cast(asyncio.Transport, transport)
        tls = cast(ssl.SSLObject, end.get_extra_info("ssl_object"))
        worker = self._endpoint.worker
        # By what is believed now, which may be less than when the handshake began.
        believed = worker.mesh_tls or self._shown
        verdict = believed.judge(tls.getpeercert(binary_form=True), clock.wall())
        self.reason, self.detail = verdict.reason, verdict.detail
        if verdict.is_accepted and verdict.service != self._endpoint.service:
            self.reason = "peer_unexpected"
            self.detail = f'the endpoint is "{verdict.service}", not "{self._endpoint.service}"'
        elif verdict.is_accepted and (tls.selected_alpn_protocol() == RAW) != self._is_raw:
            self.reason = "peer_unexpected"
            self.detail = "the endpoint does not speak this service's protocol"
        if self.reason:
            end.abort()
            return
        made = self.made = self._make()
        end.set_protocol(made)
        made.connection_made(end)
        member: object = made
        if isinstance(member, Member):
            worker.members.note(member, verdict, self._shown)


class MemberConnection(UpstreamConnection):
    """A connection to a sidecar, which ends when the certificate that it was made with is replaced."""

    def retire(self, now: float) -> None:
        """See `membership.Retiring`."""
        if self.exchange is None:
            self.close()
        else:
            self._is_reusable = False


def _refused(endpoint: LiveEndpoint, reason: str, detail: str) -> Unreached:
    endpoint.counters.connect(reason)
    endpoint.worker.complaints.tell(
        "endpoint_refused", reason, service=endpoint.service, endpoint=endpoint.address, detail=detail
    )
    return Unreached("upstream_identity", f"{endpoint.address}: {detail}")
