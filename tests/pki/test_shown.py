"""Whom clients' certificates name, and that what has ended names nobody."""

from __future__ import annotations

from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast

import pytest

from meshctl.core.principal import Principal, Refused
from meshctl.model.auth import Auth, ClientCertificate
from meshctl.pki.peer import Verdict
from meshctl.pki.shown import Shown, read
from meshctl.proxy.client_authorities import Arriving
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.ways import CertificateWay

from .certificates import NOW, ORDERS, leaf


@pytest.mark.parametrize(
    ("der", "subject", "claims"),
    [
        (leaf(), "test", {"cn": "test"}),
        (leaf(dns=("laptop", "other")), "laptop", {"cn": "test", "dns": ["laptop", "other"]}),
        (leaf(ORDERS), ORDERS, {"cn": "test", "uri": ORDERS}),
        (leaf(ORDERS, dns=("laptop",)), "laptop", {"cn": "test", "uri": ORDERS, "dns": "laptop"}),
    ],
)
def test_names(der: bytes, subject: str, claims: dict[str, object]) -> None:
    """A certificate names by its first host, else its address or URI, else its common name; all are claims."""
    found = read([der, b"signer"])
    fingerprint = sha256(der).hexdigest()
    assert (subject, NOW + 3600) == (found.subject, found.until)
    assert claims | {"sub": subject, "serial": "abc", "fingerprint": fingerprint} == found.claims
    assert {sha256(der).digest(), sha256(b"signer").digest()} == found.signers


@pytest.mark.parametrize("der", [b"", b"\x30\x00", leaf()[:-9]])
def test_what_is_none(der: bytes) -> None:
    """What is no certificate is said to be none, and nothing else happens."""
    with pytest.raises(ValueError, match=r"."):
        read([der])


@pytest.mark.parametrize(("until", "is_known"), [(0.0, False), (1e12, True)])
def test_a_certificate_ends_on_a_connection_that_stands(until: float, *, is_known: bool) -> None:
    """Who was known when the connection was made is so no more once the certificate has ended."""
    way = CertificateWay(Auth("clients", certificate=ClientCertificate()))
    arriving = Arriving(Shown("laptop", {"sub": "laptop"}, until, frozenset()), Verdict(), is_of_mesh=True)
    stream = SimpleNamespace(peer="", identity="", arriving=arriving)
    found: Any = way.find(cast("Exchange", SimpleNamespace(stream=stream)), [])
    assert isinstance(found, Principal if is_known else Refused)
    assert (found.until if is_known else found.reason) == (until if is_known else "peer_expired")
