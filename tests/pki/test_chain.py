"""What people are told about a chain, held against what OpenSSL says of the same one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from meshctl.pki import authority, pem
from meshctl.pki.authority import DAY, Pair
from meshctl.pki.chain import Check, examine, hosts_of, name_of
from meshctl.pki.peer import serial_text

from .judges import openssl

NOW = time.time()
ROOT = authority.make_root("root", now=NOW)
SAME_NAME = authority.make_root("root", now=NOW)
MIDDLE = authority.make_intermediate(ROOT, "middle", now=NOW)
ORDERS = authority.make_workload(MIDDLE, "orders", "shop.mesh", now=NOW)
SERVER = authority.make_server(MIDDLE, ("*.example.com", "localhost", "10.0.0.1"), now=NOW, life=DAY)
EXPIRED = authority.make_workload(MIDDLE, "orders", "shop.mesh", now=NOW - 30 * DAY)
EARLY = authority.make_workload(MIDDLE, "orders", "shop.mesh", now=NOW + 30 * DAY)
FOREIGN = authority.make_workload(MIDDLE, "orders", "other.mesh", now=NOW)
TOO_DEEP = authority.make_intermediate(MIDDLE, "too deep", now=NOW)
UNDER_TOO_DEEP = authority.make_workload(TOO_DEEP, "orders", "shop.mesh", now=NOW)
UNDER_A_LEAF = authority.make_workload(ORDERS, "orders", "shop.mesh", now=NOW)


def checks(*pairs: Pair, root: Pair = ROOT, host: str = "", revoked: frozenset[str] = frozenset()) -> list[Check]:
    """What is said of the first of `pairs`."""
    chain = [pair.certificate for pair in pairs]
    return examine(chain, [root.certificate], trust_domain="shop.mesh", now=NOW, revoked=revoked, host=host)


def failing(*pairs: Pair, root: Pair = ROOT, host: str = "") -> dict[str, str]:
    """The checks that do not hold, with their details."""
    return {each.name: each.detail for each in checks(*pairs, root=root, host=host) if not each.holds}


def test_what_holds() -> None:
    """A good chain is told from leaf to root, with its end, its identity and the host it was asked for."""
    found = {each.name: (each.holds, each.detail) for each in checks(ORDERS, MIDDLE, host="orders.mesh")}
    assert found["chain"] == (True, "orders ← middle ← root")
    assert found["identity"] == (True, "spiffe://shop.mesh/service/orders")
    assert found["host"] == (True, "orders.mesh")
    assert list(found) == ["chain", "time", "revocation", "identity", "host"]
    assert all(holds for holds, _ in found.values())


def test_a_server_has_no_identity_to_prove() -> None:
    """A certificate without a URI name is not asked for an identity."""
    assert [each.name for each in checks(SERVER, MIDDLE)] == ["chain", "time", "revocation"]
    assert failing(SERVER, MIDDLE, host="localhost") == {}


@pytest.mark.parametrize(
    ("pairs", "root", "reason"),
    [
        ((ORDERS, MIDDLE), ROOT, ""),
        ((ROOT,), ROOT, ""),
        ((MIDDLE,), ROOT, ""),
        ((ORDERS, MIDDLE, ROOT), ROOT, ""),
        ((ORDERS, SAME_NAME, MIDDLE), ROOT, ""),
        ((ORDERS,), ROOT, 'is signed by "CN=middle,O=meshctl"'),
        ((ORDERS, MIDDLE), SAME_NAME, 'is signed by "CN=root,O=meshctl"'),
        ((SAME_NAME,), ROOT, "which is neither in the file nor a trusted root"),
        ((UNDER_TOO_DEEP, TOO_DEEP, MIDDLE), ROOT, "may have 0 authorities below it and has 1"),
        ((UNDER_A_LEAF, ORDERS, MIDDLE), ROOT, "is no authority"),
    ],
)
def test_chains_as_openssl_sees_them(pairs: tuple[Pair, ...], root: Pair, reason: str, tmp_path: Path) -> None:
    """A chain holds exactly where OpenSSL says so, and where it does not the reason is told."""
    found = failing(*pairs, root=root)
    assert reason in found.get("chain", "")
    assert ("chain" in found) == bool(reason)
    text = pem.write_certificates(each.certificate for each in pairs)
    assert (openssl(tmp_path, text, pem.write_certificates([root.certificate])) == "") == (not reason)


@pytest.mark.parametrize(("pair", "detail"), [(EXPIRED, "expired at"), (EARLY, "is not valid before")])
def test_time(pair: Pair, detail: str) -> None:
    """A certificate out of its time says so, and nothing else is held against it."""
    assert [(name, detail in text) for name, text in failing(pair, MIDDLE).items()] == [("time", True)]


def test_revocation() -> None:
    """A revoked certificate is told by its serial."""
    serial = serial_text(ORDERS.certificate.serial_number)
    found = next(each for each in checks(ORDERS, MIDDLE, revoked=frozenset({serial})) if each.name == "revocation")
    assert (found.holds, found.detail) == (False, f"{serial} is revoked")


def test_identity() -> None:
    """An identity of another mesh is no identity here."""
    assert "other.mesh" in failing(FOREIGN, MIDDLE)["identity"]


@pytest.mark.parametrize(
    ("host", "holds"),
    [
        ("a.example.com", True),
        ("A.Example.COM", True),
        ("a.example.com.", True),
        ("example.com", False),
        (".example.com", False),
        ("a.b.example.com", False),
        ("localhost", True),
        ("10.0.0.1", True),
        ("10.0.0.2", False),
        ("other", False),
    ],
)
def test_hosts(host: str, holds: bool) -> None:
    """A certificate is for its own hosts; a wildcard stands for one label."""
    assert ("host" not in failing(SERVER, MIDDLE, host=host)) == holds


def test_a_client_is_no_server() -> None:
    """A certificate whose purposes leave servers out is good for no host, whatever its names are."""
    now = SERVER.certificate.not_valid_before_utc, SERVER.certificate.not_valid_after_utc
    name = x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, SERVER.key.public_key(), 5, *now)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.2")]), critical=False)
        .sign(SERVER.key, hashes.SHA256())
    )
    assert failing(Pair(made, SERVER.key), host="localhost")["host"] == "it is not for servers"
    assert (name_of(made), hosts_of(made)) == ("localhost", ["localhost"])
