"""The mesh's own certificates in a running gateway: served, renewed and moved to another root under load."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from meshctl.pki import pem

from .conftest import StartGateway
from .gateway import Gateway
from .load import Load
from .servers import Upstreams
from .waiting import until

MESH = """
[mesh]
name = "shop"
[gateway]
listen = [{{ address = "127.0.0.1:0", tls = {{ certificate = "mesh" }} }}]
[[routes]]
hosts = ["localhost", "127.0.0.1", "*.example.test"]
path = "/"
service = "web"
[services.web]
endpoints = ["{}"]
"""


@pytest.fixture
def gateway(tmp_path: Path, upstreams: Upstreams, start_gateway: StartGateway) -> Gateway:
    """A gateway whose listener has its certificate from the mesh."""
    file = tmp_path / "mesh.toml"
    file.write_text(MESH.format(upstreams.url_of("a").removeprefix("http://")))
    return start_gateway("-c", file, listen="")


def trusting(gateway: Gateway) -> ssl.SSLContext:
    """A client's context that trusts the mesh's roots and nothing else."""
    context = ssl.create_default_context(cadata=gateway.meshctl("certs", "bundle").out)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def served(gateway: Gateway, context: ssl.SSLContext, host: str = "localhost") -> x509.Certificate:
    """The certificate that is served for `host`. Raises ssl.SSLError where the client does not trust it."""
    with (
        socket.create_connection(("127.0.0.1", gateway.port), 60) as raw,
        context.wrap_socket(raw, server_hostname=host) as connection,
    ):
        der = connection.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def certificates(gateway: Gateway) -> list[dict[str, Any]]:
    """`certs ls -o json`."""
    found: list[dict[str, Any]] = gateway.meshctl("certs", "ls", "-o", "json").json()
    return found


def anybody() -> ssl.SSLContext:
    """A client's context that does not ask who answers."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_a_listener_with_the_meshs_certificate(gateway: Gateway) -> None:
    """Clients that trust the bundle are served for the hosts of the routes, wildcards included, and no others."""
    context = trusting(gateway)
    assert served(gateway, context) == served(gateway, context, "shop.example.test")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        served(gateway, context, "other.test")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get"):
        served(gateway, ssl.create_default_context())
    expected = {"root": [], "intermediate": [], "workload": ["gateway"], "edge": ["gateway"]}
    # On a busy machine the gateway may be too late with its answer.
    until(lambda: {each["kind"]: each["used_by"] for each in certificates(gateway)} == expected, "each to be used")


def test_rotating_under_load(gateway: Gateway) -> None:
    """New keys and certificates are served from the next handshake on, and no request fails."""
    context = trusting(gateway)
    with Load(gateway.url, tls=anybody()) as load:
        before = served(gateway, context)
        for _ in range(2):
            ended = gateway.meshctl("certs", "rotate", "--all")
            assert (ended.status, "gateway  gateway  has it" in ended.err) == (0, True), ended.err
        after = served(gateway, context)
        load.more(200)
    assert load.failures == []
    assert before.public_key() != after.public_key()
    assert gateway.status()["identity"]["generation"] == 2


def test_another_root_under_load(gateway: Gateway) -> None:
    """A gateway goes over to another root with its listener, and no request fails; clients that trust only the old one
    are told by the old bundle."""
    old = trusting(gateway)
    with Load(gateway.url, tls=anybody()) as load:
        served(gateway, old)
        ended = gateway.meshctl("certs", "rotate", "--root")
        assert ended.status == 0, ended.err
        load.more(200)
    assert load.failures == []
    leaf = served(gateway, trusting(gateway))
    with pytest.raises(ssl.SSLCertVerificationError):
        served(gateway, old)
    (root,) = pem.read_certificates(gateway.meshctl("certs", "bundle").out.encode())
    identity = gateway.status()["identity"]
    assert (identity["issuer"], identity["roots"]) == (pem.fingerprint(root), [pem.fingerprint(root)])
    assert "root 2" in root.subject.rfc4514_string()
    assert "intermediate 2" in leaf.issuer.rfc4514_string()


@pytest.mark.parametrize("kind", ["workload", "edge"])
def test_revoking_what_a_gateway_uses(gateway: Gateway, kind: str) -> None:
    """A gateway whose certificate is revoked has another one soon."""
    context = trusting(gateway)
    (serial,) = (each["serial"] for each in certificates(gateway) if each["kind"] == kind)
    before = served(gateway, context), gateway.status()["identity"]["serial"]
    ended = gateway.meshctl("certs", "revoke", serial)
    assert ended.status == 0, ended.err

    def replaced() -> bool:
        return gateway.status()["identity"]["serial"] != before[1] and served(gateway, context) != before[0]

    until(replaced, "new certificates")
    assert serial not in {each["serial"] for each in certificates(gateway)}


def test_who_calls_in_plain(gateway: Gateway) -> None:
    """A gateway takes no part in what strict would refuse."""
    ended = gateway.meshctl("certs", "mtls", "--dry-run")
    assert (ended.status, ended.out, "strict would refuse nobody" in ended.err) == (0, "", True)
    assert gateway.meshctl("certs", "mtls").out.split()[-4:] == ["web", "strict", "0", "0"]
