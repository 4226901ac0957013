"""Members of a mesh for tests, and those who only look like it: real certificates, each with at most one thing wrong,
as contexts that `ssl` clients and servers use. Built by `cryptography` and not by the code under test."""

from __future__ import annotations

import datetime
import socket
import ssl
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshctl.model.registration import Registration
from meshctl.proxy.messages import Identify
from tests.conformance.upstream import Upstream
from tests.conformance.wire import PATIENCE, Wire

DOMAIN = "shop.mesh"
HTTP, RAW = "http/1.1", "meshctl-tcp/1"
_DAY = datetime.timedelta(days=1)
_BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def spiffe(service: str) -> str:
    """The identity of a service of the mesh."""
    return f"spiffe://{DOMAIN}/service/{service}"


@dataclass(frozen=True)
class Leaf:
    """A certificate with the intermediate that signed it, and its key, as PEM; `serial` is in hex."""

    chain: bytes
    key: bytes
    serial: str


@dataclass
class Authority:
    """A root and an intermediate. Whoever has `bundle` believes what `issue` makes."""

    folder: Path
    name: str = "mesh"
    bundle: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._root_key, self._key = _key(), _key()
        root = self._root = _signed(f"{self.name} root", None, self._root_key, self._root_key, _authority(1))
        self._intermediate = _signed(f"{self.name} intermediate", root, self._key, self._root_key, _authority(0))
        self.bundle = _pem(root)
        self.file = self.folder / f"{self.name}-root.pem"
        self.file.write_bytes(self.bundle)

    def other_intermediate(self) -> Authority:
        """The same root with another intermediate."""
        other = copy(self)
        other._key = _key()
        other._intermediate = _signed(f"{self.name} other", self._root, other._key, self._root_key, _authority(0))
        return other

    def issue(
        self,
        *uris: str,
        usage: tuple[str, ...] = ("digital_signature",),
        extended: tuple[x509.ObjectIdentifier, ...] = _BOTH,
        ca: bool = False,
        days: tuple[float, float] = (-1, 1),
        dns: tuple[str, ...] = (),
    ) -> Leaf:
        """A certificate for these identities, valid from and to so many days from now."""
        key = _key()
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names += [x509.DNSName(name) for name in dns]
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=ca, path_length=None), True),
            (_usage(*usage), True),
            (x509.ExtendedKeyUsage(extended), False),
            (x509.SubjectAlternativeName(names or [x509.DNSName("nobody")]), False),
        ]
        made = _signed("leaf", self._intermediate, key, self._key, extensions, days)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Leaf(_pem(made) + _pem(self._intermediate), secret, f"{made.serial_number:x}")

    def service(self, name: str) -> Leaf:
        """A certificate for a service of the mesh."""
        return self.issue(spiffe(name))

    def identify(
        self, service: str, leaf: Leaf | None = None, *, generation: int = 1, revoked: tuple[str, ...] = (),
        edge: Leaf | None = None, bundle: bytes = b"",
    ) -> Identify:  # fmt: skip
        """What a supervisor tells its workers."""
        leaf = leaf or self.service(service)
        outer = ((edge.chain, edge.key),) if edge else ()
        return Identify(
            spiffe(service), DOMAIN, leaf.chain, leaf.key, bundle or self.bundle, generation, revoked, outer
        )

    def client(self, leaf: Leaf | None, *protocols: str) -> ssl.SSLContext:
        """What a client with `leaf` uses, who believes this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        return self._filled(context, leaf, protocols or (HTTP,))

    def server(self, leaf: Leaf, *protocols: str) -> ssl.SSLContext:
        """What a sidecar with `leaf` uses, who asks its callers for a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
        return self._filled(context, leaf, protocols or (HTTP, RAW))

    def _filled(self, context: ssl.SSLContext, leaf: Leaf | None, protocols: tuple[str, ...]) -> ssl.SSLContext:
        context.load_verify_locations(cadata=self.bundle.decode())
        context.set_alpn_protocols(list(protocols))
        if leaf is not None:
            file = self.folder / f"{leaf.serial}.pem"
            file.write_bytes(leaf.chain + leaf.key)
            context.load_cert_chain(file)
        return context


def shake(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Wire:
    """A TLS connection to a loopback port. Raises what the handshake does, and leaves nothing open."""
    end = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    try:
        return Wire(context.wrap_socket(end, session=session))
    except BaseException:
        end.close()
        raise


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _authority(length: int) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=length), True),
        (_usage("key_cert_sign", "crl_sign"), True),
    ]


def _usage(*names: str) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def _signed(
    name: str, issuer: x509.Certificate | None, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey,
    extensions: list[tuple[x509.ExtensionType, bool]], days: tuple[float, float] = (-1, 1),
) -> x509.Certificate:  # fmt: skip
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer.subject if issuer else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now + days[0] * _DAY,
        now + days[1] * _DAY,
    )
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(signer, hashes.SHA256())


class MemberUpstream(Upstream):
    """A sidecar of which the test is the application: a scripted service that speaks mutual TLS. What it shows can be
    changed between connections."""

    def __init__(self, name: str, context: ssl.SSLContext) -> None:
        super().__init__(name)
        self.context = context

    def accept(self) -> Wire:
        """The next connection, after its handshake. Raises ssl.SSLError, and OSError where the caller ends it."""
        end, _ = self.listener.accept()
        end.settimeout(PATIENCE)
        try:
            wire = Wire(self.context.wrap_socket(end, server_side=True))
        except BaseException:
            end.close()
            raise
        self._accepted.append(wire)
        return wire

    def close(self) -> None:
        """End everything."""
        for wire in self._accepted:
            wire.close()
        self.listener.close()

    def registered(self, version: str = "default") -> Registration:
        """How its sidecar announced it."""
        return Registration(self.name, version, "127.0.0.1", self.port, "p1", 1, "here", 0.0)
