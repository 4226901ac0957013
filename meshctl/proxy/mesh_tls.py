"""What this proxy shows the mesh and whom it believes: one identity, made into contexts for each way of use, and the
verdicts on peers that were met under it.

    Identify ──▶ MeshTls ──▶ server (mutual)   client, one for each protocol   edge, for clients from outside
                    └──────▶ judge: a peer's leaf, once OpenSSL has verified its chain

It is made whole or not at all and never changes; a new identity is a new one, used from the next handshake on. TLS 1.3
alone and never a resumed session: a session would outlive the trust that admitted it. Must not know connections.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from meshctl.pki.identity import service_of
from meshctl.pki.peer import Verdict, judge
from meshctl.proxy.messages import Identify
from meshctl.proxy.tls import no_password, said, server_context

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

HTTP: Final = "http/1.1"
RAW: Final = "meshctl-tcp/1"
"""Bytes of a service that speaks no HTTP, in frames of ours: which of the two it is, is agreed on in the handshake."""

MOST_VERDICTS: Final = 4_096
"""Certificates whose verdict is remembered; a mesh has as many peers in use as it has sidecars."""
JUDGED_AGAIN: Final = 60.0
"""Seconds a verdict is good for. OpenSSL looks at the dates of the whole chain in every handshake; this looks again at
what we say of them, should the clock have been set."""

_END: Final = "-----END CERTIFICATE-----"
_OPEN_FILES: Final = "/proc/self/fd/"


class MeshTls:
    """See the module. Raises ValueError where the identity cannot be used, which says why and tells nothing of the
    key."""

    def __init__(self, told: Identify) -> None:
        self.identity = told.identity
        self.trust_domain = told.trust_domain
        self.service = service_of(told.identity, told.trust_domain)
        self.generation = told.generation
        self.revoked = frozenset(told.revoked)
        self._told = told
        self._clients: dict[str, ssl.SSLContext] = {}
        self._verdicts: dict[bytes, tuple[Verdict, float]] = {}
        self.server = self._mutual(ssl.PROTOCOL_TLS_SERVER, [HTTP, RAW])
        self.server.num_tickets = 0
        caller = self._clients[HTTP] = self._mutual(ssl.PROTOCOL_TLS_CLIENT, [HTTP])
        self.doubt = _doubt(self.server, caller)
        """Why we would not believe ourselves, so that others will not either: a clock that is wrong, say. Else ""."""
        for context in (self.server, caller):
            self._trust_issuer(context)
        self.edge = _edge(*told.edge[0]) if told.edge else None
        self._asking: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"<MeshTls {self.identity} generation {self.generation}, {len(self._verdicts)} peers met>"

    def client(self, protocol: str) -> ssl.SSLContext:
        """The context to call another member with, to speak `protocol`."""
        found = self._clients.get(protocol)
        if found is None:
            found = self._clients[protocol] = self._mutual(ssl.PROTOCOL_TLS_CLIENT, [protocol])
            self._trust_issuer(found)
        return found

    def asking(self) -> ssl.SSLContext | None:
        """The same certificate for clients from outside as `edge` shows, who are asked for one of the mesh and may have
        none. None where there is no such certificate."""
        if self._asking is None and self._told.edge:
            context = self._asking = _edge(*self._told.edge[0])
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.num_tickets = 0
            context.verify_mode = ssl.CERT_OPTIONAL
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            context.load_verify_locations(cadata=self._told.bundle.decode("ascii"))
        return self._asking

    def judge(self, der: bytes | None, now: float) -> Verdict:
        """Who a peer is, whose chain OpenSSL has just verified, at `now` by the wall clock."""
        if not der:
            return Verdict(reason="peer_no_identity", detail="the peer showed no certificate")
        name = sha256(der).digest()
        found, until = self._verdicts.get(name, (None, 0.0))
        if found is None or not until - JUDGED_AGAIN <= now < until:
            found = judge(der, trust_domain=self.trust_domain, now=now, revoked=self.revoked)
            if len(self._verdicts) >= MOST_VERDICTS:
                del self._verdicts[next(iter(self._verdicts))]
            self._verdicts[name] = found, now + JUDGED_AGAIN
        return found

    def _mutual(self, side: int, protocols: list[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # Who a peer is, is said by its identity and judged here: names and addresses prove nothing in a mesh.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols(protocols)
        try:
            context.load_verify_locations(cadata=self._told.bundle.decode("ascii"))
        except (ValueError, ssl.SSLError) as error:
            raise ValueError(f"the trust bundle cannot be loaded: {said(error)}") from error
        load(context, self._told.certificate, self._told.key)
        return context

    def _trust_issuer(self, context: ssl.SSLContext) -> None:
        """Let a chain end at the intermediate that issued our own certificate, which has just been seen to come from a
        trusted root: to find that again for each peer is an eighth of a handshake."""
        _, _, issuers = self._told.certificate.decode("ascii").partition(_END)
        if not self.doubt and issuers.strip():
            context.load_verify_locations(cadata=issuers)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


class EdgeTls:
    """The certificate of the mesh's CA at a listener for clients from outside: the one that the proxy's identity has at
    the moment of the handshake."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.context = server_context()
        self.context.sni_callback = self._choose

    def __repr__(self) -> str:
        return f"<EdgeTls of {self._worker.mesh_tls!r}>"

    def _choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _outer: ssl.SSLContext) -> None:
        tls = self._worker.mesh_tls
        if tls is not None and tls.edge is not None:
            handshake.context = tls.edge


def load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Have `context` show a certificate chain with its key, both PEM. Raises ValueError."""
    try:
        with _as_file(certificate.rstrip() + b"\n" + key) as path:
            context.load_cert_chain(path, password=no_password)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"the certificate and its key cannot be loaded: {said(error)}") from error


def _edge(certificate: bytes, key: bytes) -> ssl.SSLContext:
    context = server_context()
    load(context, certificate, key)
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """The path of a file with this content that is on no disk, since OpenSSL takes keys from files alone; where memory
    cannot be a file, one that nobody else may read and that is gone at once."""
    number, path = _in_memory() or _temporary()
    try:
        os.write(number, content)
        yield path
    finally:
        os.close(number)
        if not path.startswith(_OPEN_FILES):
            os.unlink(path)


def _in_memory() -> tuple[int, str] | None:
    if not hasattr(os, "memfd_create") or not os.path.isdir(_OPEN_FILES):
        return None
    number = os.memfd_create("key", os.MFD_CLOEXEC)
    return number, f"{_OPEN_FILES}{number}"


def _temporary() -> tuple[int, str]:
    import tempfile

    return tempfile.mkstemp(prefix="meshctl-")


def _doubt(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Why a handshake between the two fails, "" where it does not."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(back, there)
    callee = server.wrap_bio(there, back, server_side=True)
    try:
        # Hello, the callee's flight, the caller's: then both know.
        for side in (caller, callee, caller):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
        callee.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        return said(error)
    return ""
