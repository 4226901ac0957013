"""The mesh's own certificate authority: made on demand, kept in files, remembered in the store.

    ensure()   a root and an intermediate that can sign, made or renewed where they are missing or old
    issue()    a certificate under the intermediate, recorded in the store

Several processes may do either at once: a file lock makes them take turns. It loads cryptography, so it lives in
commands and in short-lived processes (`issuing`), never in a proxy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl import clock
from meshctl.control import issued, trust_state
from meshctl.control.authority_files import AuthorityFiles
from meshctl.control.order import Credentials, Order
from meshctl.control.revisions import decode
from meshctl.control.trust_state import BUNDLE, Bundle, Root
from meshctl.control.who import who
from meshctl.core.renewal import renewal_moment
from meshctl.errors import MeshError
from meshctl.store.home import Home
from meshctl.store.protocol import Audit, Expect, Put, Store

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from meshctl.pki.authority import Pair

_BEGIN_ANEW: Final = "replace the authority with `meshctl certs rotate --root`; running proxies will follow"


class Authority:
    """See the module. `passphrase` opens, or from now on protects, the keys of roots; `offline` is the directory where
    they are kept instead of in the home."""

    def __init__(
        self, home: Home, store: Store, *, passphrase: bytes | None = None, offline: Path | None = None
    ) -> None:
        self.files = AuthorityFiles(home, offline)
        self._store = store
        self._passphrase = passphrase

    def __repr__(self) -> str:
        return f"<Authority {self.files.folder}>"

    def ensure(self, name: str) -> Bundle:
        """The trusted roots, with one that can sign: what is missing is made and called after `name`, an intermediate
        that grows old is renewed. Raises MeshError where a file is missing, damaged or open to others."""
        with self.files.locked():
            return self._ensured(name)[0]

    def protect_root(self) -> bool:
        """Bring the key of the root that issues under the passphrase and to the offline directory that were given;
        whether anything was left to do."""
        with self.files.locked():
            bundle = trust_state.bundle(self._store)
            return bundle is not None and self.files.protect_root(bundle.active, self._passphrase)

    def issue(self, order: Order) -> Credentials:
        """A new certificate with its key, recorded. Raises MeshError."""
        with self.files.locked():
            bundle, intermediate = self._ensured(order.trust_domain)
            now = clock.wall()
            pair = _made(order, intermediate, now)
            credentials = self._credentials(order, pair, intermediate, bundle)
            entry = issued.record(_record(order, pair, credentials))
            audit = Audit(who(), now, f"issue {credentials.identity or _name(order)}", after=credentials.serial)
            self._store.transact([entry, *issued.forgotten(self._store, credentials.serial, now)], audit=audit)
            return credentials

    def make_root(self, number: int, name: str) -> Root:
        """A new root and its intermediate, in files and trusted by nobody yet; one that is there already is taken. The
        caller holds the lock."""
        from meshctl.pki import authority as pki

        if number not in self.files.root_numbers():
            made = pki.make_root(f"{name} root {number}", now=clock.wall())
            self.files.write_root(number, made, self._passphrase)
        root = self._adopted(number)
        self._intermediate(root, name)
        return root

    def check(self, root: Root) -> None:
        """Raises MeshError where nothing can be issued under the root."""
        with self.files.locked():
            self._intermediate(root, "")

    # what there is

    def _ensured(self, name: str) -> tuple[Bundle, Pair]:
        """The trusted roots and the intermediate that signs."""
        entry = self._store.get(BUNDLE)
        if entry is not None:
            bundle = decode(entry, Bundle)
            return bundle, self._intermediate(bundle.issuing, name)
        # Files without a record are what a crash or a lost store left: they still are this mesh's authority.
        numbers = self.files.root_numbers() or [1]
        roots = [self.make_root(number, name) for number in numbers]
        bundle = Bundle(numbers[-1], tuple(roots))
        audit = Audit(who(), clock.wall(), "make the mesh's authority", after=f"root {bundle.issuing.fingerprint}")
        self._store.transact([Put(BUNDLE, msgspec.json.encode(bundle))], expect=[Expect(BUNDLE, 0)], audit=audit)
        return bundle, self._intermediate(bundle.issuing, name)

    def _adopted(self, number: int) -> Root:
        from meshctl.pki import pem

        certificate = self.files.read_root_certificate(number)
        text = pem.write_certificates([certificate]).decode()
        end, start = certificate.not_valid_after_utc, certificate.not_valid_before_utc
        return Root(number, pem.fingerprint(certificate), text, end.timestamp(), start.timestamp())

    def _intermediate(self, root: Root, name: str) -> Pair:
        """The intermediate under `root`, made where it never was and renewed where it is time and the key at hand."""
        from meshctl.pki import authority as pki
        from meshctl.pki import pem

        certificate = pem.read_certificates(root.certificate.encode())[0]
        now = clock.wall()
        _check_time(certificate, f"root {root.number}", now)
        if not self.files.has_intermediate(root.number):
            pair = self.files.read_root(certificate, root.number, self._passphrase)
            made = pki.make_intermediate(pair, f"{name} intermediate {root.number}", now=now)
            self.files.write_intermediate(root.number, made)
            return made
        found = self.files.read_intermediate(root.number)
        if not pem.is_issued_by(found.certificate, [certificate]):
            path = self.files.intermediate(root.number)[0]
            message = f'the intermediate "{path}" is not signed by the root that the mesh trusts'
            raise MeshError("authority_unusable", message, hint=_BEGIN_ANEW)
        return self._renewed(root, certificate, found, now)

    def _renewed(self, root: Root, certificate: Certificate, found: Pair, now: float) -> Pair:
        from meshctl.pki import authority as pki

        start = found.certificate.not_valid_before_utc.timestamp()
        end = found.certificate.not_valid_after_utc.timestamp()
        is_valid = start <= now <= end
        if is_valid and now < renewal_moment(start, end, 0):
            return found
        can_sign = self._passphrase is not None or self.files.is_key_at_hand(root.number)
        # The root's key may be away for good reason; until the intermediate ends, that disturbs nobody.
        if is_valid and not can_sign:
            return found
        pair = self.files.read_root(certificate, root.number, self._passphrase)
        name = _common_name(found.certificate)
        renewed = pki.make_intermediate(pair, name, now=now, key=found.key)
        self.files.write_intermediate(root.number, renewed)
        return renewed

    def _credentials(self, order: Order, pair: Pair, intermediate: Pair, bundle: Bundle) -> Credentials:
        from meshctl.pki import pem
        from meshctl.pki.identity import spiffe_id
        from meshctl.pki.peer import serial_text

        leaf = pair.certificate
        return Credentials(
            identity=spiffe_id(order.trust_domain, order.service) if order.kind == "workload" else "",
            service=order.service,
            certificate=pem.write_certificates([leaf, intermediate.certificate]),
            key=pem.write_key(pair.key),
            bundle=bundle.pem,
            serial=serial_text(leaf.serial_number),
            not_before=leaf.not_valid_before_utc.timestamp(),
            not_after=leaf.not_valid_after_utc.timestamp(),
            generation=trust_state.generation(self._store, order.service),
            root=bundle.issuing.fingerprint,
            roots=bundle.fingerprints,
            intermediate_not_after=intermediate.certificate.not_valid_after_utc.timestamp(),
        )


def _made(order: Order, intermediate: Pair, now: float) -> Pair:
    from meshctl.pki import authority as pki

    if order.kind == "workload":
        return pki.make_workload(intermediate, order.service, order.trust_domain, now=now)
    life = order.life or pki.WORKLOAD_LIFE
    try:
        return pki.make_server(intermediate, order.hosts, now=now, life=life, is_client=order.is_client)
    except ValueError as error:
        raise MeshError("usage", f"no certificate can be made for {', '.join(order.hosts)}: {error}") from error


def _record(order: Order, pair: Pair, credentials: Credentials) -> issued.Issued:
    return issued.Issued(
        serial=credentials.serial,
        kind=order.kind,
        subject=_common_name(pair.certificate),
        identity=credentials.identity,
        service=order.service,
        hosts=order.hosts,
        not_before=credentials.not_before,
        not_after=credentials.not_after,
        root=credentials.root,
        generation=credentials.generation,
        proxy=order.proxy,
        who=who(),
    )


def _name(order: Order) -> str:
    return f"{order.kind} {', '.join(order.hosts)}"


def _common_name(certificate: Certificate) -> str:
    from cryptography.x509.oid import NameOID

    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _check_time(certificate: Certificate, name: str, now: float) -> None:
    """Raises MeshError where an authority is out of its time, or the clock is."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start.timestamp():
        message = f"{name} of the mesh's authority is not valid before {start:%Y-%m-%d %H:%M} UTC"
        raise MeshError(
            "authority_unusable", message, hint="check this machine's clock; if it is right: " + _BEGIN_ANEW
        )
    if now > end.timestamp():
        message = f"{name} of the mesh's authority expired on {end:%Y-%m-%d}"
        raise MeshError("authority_unusable", message, hint=_BEGIN_ANEW)
