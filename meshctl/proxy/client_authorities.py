"""Whose certificates clients from outside may show: the mesh's, and those of authorities in files. Here are contexts
of listeners that ask for one, and what a client has shown.

A certificate of any authority that some route asks for is let through the handshake; which of them a route believes is
decided for each request by who signed it (`Shown.signers`), so that an authority that is gone has vouched for nobody
from the next request on. TLS 1.3 alone and never a resumed session: a session would outlive the trust that admitted it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from meshctl import clock
from meshctl.pki.peer import Verdict
from meshctl.pki.shown import Shown, read
from meshctl.proxy.mesh_tls import EdgeTls, load
from meshctl.proxy.sources import read_file
from meshctl.proxy.tls import CertificateProblem, ListenerTls, said, server_context

if TYPE_CHECKING:
    from meshctl.proxy.messages import Identify
    from meshctl.proxy.worker import Worker

_LARGEST: Final = 1_048_576
_DER: Final = 2
"""`_ssl.ENCODING_DER`."""


class Authority:
    """A file of certificates, any of which may sign those of clients. Raises ValueError where it cannot be used from
    the beginning."""

    def __init__(self, path: str, on_changed: Callable[[], None]) -> None:
        self.text = ""
        self.signers: frozenset[bytes] = frozenset()
        """SHA-256 of each certificate."""
        self._path = Path(path)
        self._on_changed = on_changed
        self._failure = ""
        self.refresh()

    def __repr__(self) -> str:
        return f"<Authority {self._path}, {len(self.signers)} certificates>"

    def refresh(self) -> bool:
        """Read the file again; whether it has changed. Raises ValueError, and then nothing has."""
        # Comments between certificates may be in any encoding.
        text = read_file(self._path, _LARGEST).decode("ascii", "replace")
        if text == self.text:
            return False
        try:
            found = signers_in(text)
        except (ValueError, ssl.SSLError) as error:
            raise ValueError(f'"{self._path}" has no certificates of an authority: {said(error)}') from error
        self.text, self.signers = text, found
        self._on_changed()
        return True

    def look(self) -> str | None:
        """The same for whoever looks now and then: None when nothing has changed, "" when the file of now holds, else
        why it does not, once."""
        try:
            changed, failure = self.refresh(), ""
        except ValueError as error:
            changed, failure = False, str(error)
        before, self._failure = self._failure, failure
        return failure if changed or (failure and failure != before) else None


class Arriving(NamedTuple):
    """What a client proved in its handshake: `verdict` is the mesh's on it, if that has signed its certificate."""

    shown: Shown | None
    verdict: Verdict
    is_of_mesh: bool


class Asking:
    """The contexts of one worker's listeners that ask for certificates, made when first needed."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._made: WeakKeyDictionary[ListenerTls | EdgeTls, tuple[list[object], ssl.SSLContext | None]]
        self._made = WeakKeyDictionary()
        self._mesh: tuple[Identify | None, frozenset[bytes]] = None, frozenset()

    def __repr__(self) -> str:
        return f"<Asking at {len(self._made)} listeners>"

    def context(self, tls: ListenerTls | EdgeTls) -> ssl.SSLContext | None:
        """The context of a handshake that begins now; None where nobody is asked there."""
        worker = self._worker
        texts = [each.text for each in worker.snapshot.authorities]
        is_edge = isinstance(tls, EdgeTls)
        if not texts:
            return worker.mesh_tls.asking() if is_edge and worker.mesh_tls is not None else None
        made_of: list[object] = [texts, worker.told if isinstance(tls, EdgeTls) else tls.shown]
        known = self._made.get(tls)
        if known is None or known[0] != made_of:
            known = self._made[tls] = made_of, self._make(tls, texts)
        return known[1]

    def judge(self, tls: ssl.SSLObject) -> Arriving:
        """Who a client is that has shown a certificate, whose chain OpenSSL has just verified."""
        worker = self._worker
        believed, told = worker.mesh_tls, worker.told
        chain = _verified_chain(tls)
        try:
            shown = read(chain)
        except ValueError as error:
            unfit = Verdict(reason="peer_unfit", detail=f"the certificate cannot be read: {error}")
            return Arriving(None, unfit, is_of_mesh=False)
        if believed is None or told is None or self._signers(told).isdisjoint(shown.signers):
            return Arriving(shown, Verdict(), is_of_mesh=False)
        verdict = believed.judge(chain[0], clock.wall())
        if verdict.reason == "peer_no_identity" and "uri" not in shown.claims:
            # One of `certs issue --client`: it is for somebody outside, and no member's.
            verdict = Verdict(serial=verdict.serial)
            if verdict.serial in believed.revoked:
                detail = f"the certificate {verdict.serial} is revoked"
                verdict = Verdict(serial=verdict.serial, reason="peer_revoked", detail=detail)
        return Arriving(shown, verdict, is_of_mesh=True)

    def _signers(self, told: Identify) -> frozenset[bytes]:
        if self._mesh[0] is not told:
            self._mesh = told, signers_in(told.bundle.decode("ascii"))
        return self._mesh[1]

    def _make(self, tls: ListenerTls | EdgeTls, texts: list[str]) -> ssl.SSLContext | None:
        told = self._worker.told
        try:
            if isinstance(tls, ListenerTls):
                return tls.changed(lambda context: _ask(context, texts))
        except CertificateProblem as problem:
            # Whoever has to be known by a certificate is not; all others are served with those that are loaded.
            self._worker.notice("certificate_refused", error=str(problem))
            return None
        if told is None or not told.edge:
            return None
        context = server_context()
        load(context, *told.edge[0])
        _ask(context, [told.bundle.decode("ascii"), *texts])
        return context


def signers_in(text: str) -> frozenset[bytes]:
    """SHA-256 of each certificate of an authority in PEM. Raises ValueError and SSLError where there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(cadata=text)
    found = frozenset(sha256(each).digest() for each in context.get_ca_certs(binary_form=True))
    if not found:
        raise ValueError("it has none that may sign others")
    return found


def _ask(context: ssl.SSLContext, texts: list[str]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_OPTIONAL
    # The authority in the file may be one that a root has signed which is not there.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata="\n".join(texts))


def _verified_chain(tls: ssl.SSLObject) -> list[bytes]:
    # Public since Python 3.13; what is beneath it has been there since 3.10.
    public: Any = getattr(tls, "get_verified_chain", None)
    if public is not None:
        return list(public())
    hidden: Any = tls._sslobj  # type: ignore[attr-defined]
    return [each.public_bytes(_DER) for each in hidden.get_verified_chain()]
