"""The certificates that the authority makes, judged by OpenSSL, pkilint and our own judge of peers."""

from __future__ import annotations

import ssl
import time
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from meshctl.pki import authority, pem
from meshctl.pki.authority import BACKDATED, DAY, Pair
from meshctl.pki.peer import judge

from .judges import findings, openssl

NOW = time.time()
ROOT = authority.make_root("shop.mesh root 1", now=NOW)
INTERMEDIATE = authority.make_intermediate(ROOT, "shop.mesh intermediate 1", now=NOW)
WORKLOAD = authority.make_workload(INTERMEDIATE, "orders", "shop.mesh", now=NOW)
EDGE = authority.make_server(INTERMEDIATE, ("*.example.com", "api.localhost", "10.0.0.1", "::1"), now=NOW, life=DAY)
CLIENT = authority.make_server(INTERMEDIATE, ("localhost",), now=NOW, life=90 * DAY, is_client=True)
LONG = authority.make_server(INTERMEDIATE, ("a" * 60 + ".example.com",), now=NOW, life=90 * DAY)
ALL = {
    "root": ROOT,
    "intermediate": INTERMEDIATE,
    "workload": WORKLOAD,
    "edge": EDGE,
    "client": CLIENT,
    "long": LONG,
}
LEAVES = ["workload", "edge", "client", "long"]


def chain(leaf: Pair) -> bytes:
    """The leaf and what it needs beside a root."""
    return pem.write_certificates([leaf.certificate, INTERMEDIATE.certificate])


BUNDLE = pem.write_certificates([ROOT.certificate])


@pytest.mark.parametrize("name", LEAVES)
def test_chains_hold_for_openssl(name: str, tmp_path: Path) -> None:
    """OpenSSL builds each leaf's chain to the root, strictly."""
    assert openssl(tmp_path, chain(ALL[name]), BUNDLE) == ""


def test_the_intermediate_holds_for_openssl(tmp_path: Path) -> None:
    """The intermediate and the root verify strictly by themselves, the leaf not without the intermediate."""
    assert openssl(tmp_path, pem.write_certificates([INTERMEDIATE.certificate]), BUNDLE) == ""
    assert openssl(tmp_path, BUNDLE, BUNDLE) == ""
    assert "unable to get local issuer" in openssl(tmp_path, pem.write_certificates([WORKLOAD.certificate]), BUNDLE)


@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
@pytest.mark.parametrize("name", LEAVES)
def test_leaves_are_for_what_they_say(name: str, purpose: str, tmp_path: Path) -> None:
    """A workload is good for both ends of TLS, a server's certificate for a client only where that was asked for."""
    fits = purpose == "sslserver" or name in ("workload", "client")
    assert (openssl(tmp_path, chain(ALL[name]), BUNDLE, "-purpose", purpose) == "") == fits


@pytest.mark.parametrize(
    ("name", "option", "host", "fits"),
    [
        ("workload", "-verify_hostname", "orders", True),
        ("workload", "-verify_hostname", "orders.mesh", True),
        ("workload", "-verify_hostname", "orders.shop.mesh", True),
        ("workload", "-verify_hostname", "web.mesh", False),
        ("edge", "-verify_hostname", "www.example.com", True),
        ("edge", "-verify_hostname", "example.com", False),
        ("edge", "-verify_hostname", "api.localhost", True),
        ("edge", "-verify_ip", "10.0.0.1", True),
        ("edge", "-verify_ip", "::1", True),
        ("edge", "-verify_ip", "10.0.0.2", False),
    ],
)
def test_hosts(name: str, option: str, host: str, fits: bool, tmp_path: Path) -> None:
    """A certificate is good for the hosts and addresses it was asked for, wildcards included, and for no other."""
    assert (openssl(tmp_path, chain(ALL[name]), BUNDLE, option, host) == "") == fits


# pkilint wants a dot in every DNS name, knows no wildcard and no scheme of a URI but the web's. RFC 1034 §3.5 has
# names of one label, RFC 9525 §6.3 says what "*." means at the beginning of one, and a SPIFFE ID is a URI by RFC 3986.
ODD = {
    "workload": [("uri", "URI", "spiffe://shop.mesh/service/orders"), ("domain_name", "domain name", "orders")],
    "edge": [("domain_name", "domain name", "*.example.com")],
    "client": [("domain_name", "domain name", "localhost")],
}


@pytest.mark.parametrize("name", ALL)
def test_pkilint_finds_nothing(name: str) -> None:
    """pkilint has nothing to say about any of them by RFC 5280, but for names of kinds that it does not know."""
    odd = [f'ERROR pkix.invalid_{kind}_syntax Invalid {word} syntax: "{it}"' for kind, word, it in ODD.get(name, ())]
    assert findings(ALL[name].certificate) == odd


def test_pkilint_would_find_something() -> None:
    """The linter is really asked: a certificate that breaks a rule is found out."""
    start, end = ROOT.certificate.not_valid_before_utc, ROOT.certificate.not_valid_after_utc
    nobody = x509.Name([])
    builder = x509.CertificateBuilder(nobody, nobody, WORKLOAD.key.public_key(), 1, start, end)
    assert findings(builder.sign(WORKLOAD.key, hashes.SHA256())) != []


def test_workloads_are_svids() -> None:
    """A workload's certificate has all that SPIFFE asks for, as it asks for it."""
    found = WORKLOAD.certificate.extensions
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://shop.mesh/service/orders"]
    assert names.get_values_for_type(x509.DNSName) == ["orders", "orders.mesh", "orders.shop.mesh"]
    constraints = found.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    usage = found.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value) == (True, authority._usage("digital_signature"))
    extended = set(found.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert extended == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert WORKLOAD.key.curve.name == "secp256r1"


@pytest.mark.parametrize(
    ("pair", "life", "path_length"),
    [(ROOT, authority.ROOT_LIFE, 1), (INTERMEDIATE, authority.INTERMEDIATE_LIFE, 0), (WORKLOAD, DAY, None)],
)
def test_lives(pair: Pair, life: float, path_length: int | None) -> None:
    """Root, intermediate and workload live as long as documented, from ten minutes before they were made."""
    found = pair.certificate
    assert found.not_valid_before_utc.timestamp() == int(NOW - BACKDATED)
    assert found.not_valid_after_utc.timestamp() == int(NOW + life)
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == path_length


def test_nothing_outlives_its_issuer() -> None:
    """A leaf for longer than its issuer's life ends with the issuer, and an intermediate with its root."""
    leaf = authority.make_server(INTERMEDIATE, ("localhost",), now=NOW, life=3650 * DAY)
    assert leaf.certificate.not_valid_after_utc == INTERMEDIATE.certificate.not_valid_after_utc
    late = authority.make_intermediate(ROOT, "late", now=NOW + 3600 * DAY)
    assert late.certificate.not_valid_after_utc == ROOT.certificate.not_valid_after_utc


def test_serials_are_long_and_different() -> None:
    """Serial numbers are random, positive and of at most 20 bytes (RFC 5280 §4.1.2.2)."""
    serials = [pair.certificate.serial_number for pair in ALL.values()]
    assert len(set(serials)) == len(serials)
    assert all(0 < serial < 2**159 for serial in serials)
    assert max(serials).bit_length() > 128


def test_our_own_judge_agrees() -> None:
    """A workload's certificate is accepted as that service; root, intermediate and servers are not."""
    verdicts = {
        name: judge(pair.certificate.public_bytes(Encoding.DER), trust_domain="shop.mesh", now=NOW, revoked=frozenset())
        for name, pair in ALL.items()
    }
    assert {name: each.service for name, each in verdicts.items() if each.is_accepted} == {"workload": "orders"}


def test_a_renewed_intermediate_keeps_its_leaves(tmp_path: Path) -> None:
    """With a renewed intermediate of the same key, leaves issued under the old one still verify."""
    renewed = authority.make_intermediate(ROOT, "shop.mesh intermediate 1", now=NOW, key=INTERMEDIATE.key)
    assert renewed.certificate.serial_number != INTERMEDIATE.certificate.serial_number
    text = pem.write_certificates([WORKLOAD.certificate, renewed.certificate])
    assert openssl(tmp_path, text, BUNDLE) == ""


def test_python_and_openssl_load_them(tmp_path: Path) -> None:
    """Chain and key load as a pair into a TLS context, the bundle as its authority."""
    (tmp_path / "chain.pem").write_bytes(chain(WORKLOAD))
    (tmp_path / "key.pem").write_bytes(pem.write_key(WORKLOAD.key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    context.load_verify_locations(cadata=BUNDLE.decode())
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize("hosts", [(), ("",), ("bücher.example",), ("a b",), ("-x.example",), ("a.*",)])
def test_what_is_no_host(hosts: tuple[str, ...]) -> None:
    """A certificate for nobody, or for what is no host name, is refused with the reason."""
    with pytest.raises(ValueError, match=r"host|address"):
        authority.make_server(INTERMEDIATE, hosts, now=NOW, life=DAY)


@given(st.ip_addresses())
def test_addresses(address: object) -> None:
    """Every address becomes an IP name, never a DNS name, with or without brackets."""
    text = f"[{address}]" if ":" in str(address) else str(address)
    assert authority._host_name(text) == x509.IPAddress(ip_address(str(address)))


def test_keys_are_not_in_representations() -> None:
    """A pair's repr names its certificate and nothing of its key."""
    assert repr(WORKLOAD) == "<Pair CN=orders,O=meshctl>"
