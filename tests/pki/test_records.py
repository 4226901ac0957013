"""What the store knows of trust: records of certificates, revocations, generations, and what a proxy makes of them."""

from __future__ import annotations

import time

import msgspec
import pytest

from meshctl.control import issued, trust_state
from meshctl.control.issued import Issued
from meshctl.control.trust_state import EVERY_SERVICE, Bundle, Root, TrustState, must_reissue, next_generation
from meshctl.errors import MeshError
from meshctl.store.protocol import Put
from meshctl.store.sqlite import SqliteStore

NOW = 1_800_000_000.0
ORDERS = Issued(
    serial="abcdef0123",
    kind="workload",
    subject="orders",
    identity="spiffe://shop.mesh/service/orders",
    service="orders",
    hosts=(),
    not_before=NOW,
    not_after=NOW + 86400,
    root="r1",
    generation=0,
    proxy="sidecar-1",
    who="me",
)


def other(serial: str, **changes: object) -> Issued:
    """A record like that of orders."""
    return msgspec.structs.replace(ORDERS, serial=serial, **changes)


def remember(store: SqliteStore, *records: Issued) -> None:
    """Write the records."""
    store.transact([issued.record(each) for each in records])


def test_nothing_is_trusted_at_first(store: SqliteStore) -> None:
    """Before there is an authority a proxy reads that there is none, and has nothing to do."""
    found = trust_state.read(store, "orders")
    assert found == TrustState()
    assert must_reissue(found, serial="a", root="r", generation=0) == ""


def test_what_a_proxy_reads(store: SqliteStore) -> None:
    """A proxy reads all roots, the one to be under, its generation and every revocation."""
    roots = (Root(1, "ff", "PEM1\n", NOW), Root(2, "aa", "PEM2\n", NOW))
    store.transact(
        [
            Put(trust_state.BUNDLE, msgspec.json.encode(Bundle(2, roots))),
            next_generation(store, "orders", at=NOW, who="me"),
        ]
    )
    issued.revoke(store, [other("b"), other("a")], at=NOW, who="me")
    expected = TrustState(b"PEM1\nPEM2\n", ("aa", "ff"), "aa", 1, ("a", "b"))
    assert trust_state.read(store, "orders") == expected


def test_generations(store: SqliteStore) -> None:
    """A generation grows with its service's rotations and with those of all services, and with no other."""
    seen = []
    for service in ("orders", "web", EVERY_SERVICE, "orders"):
        store.transact([next_generation(store, service, at=NOW, who="me")])
        seen.append((trust_state.generation(store, "orders"), trust_state.generation(store, "web")))
    assert seen == [(1, 0), (1, 1), (2, 2), (3, 2)]


@pytest.mark.parametrize(
    ("serial", "root", "generation", "expected"),
    [
        ("a", "r2", 3, ""),
        ("a", "r2", 4, ""),
        ("bad", "r2", 3, "it is revoked"),
        ("a", "r2", 2, "its service is rotated"),
        ("a", "r1", 3, "its root is replaced"),
    ],
)
def test_when_a_proxy_needs_another_certificate(serial: str, root: str, generation: int, expected: str) -> None:
    """A certificate is replaced before its time when it is revoked, of an older generation or under another root."""
    state = TrustState(b"pem", ("r1", "r2"), "r2", 3, ("bad",))
    assert must_reissue(state, serial=serial, root=root, generation=generation) == expected


def test_revoking(store: SqliteStore) -> None:
    """A revocation says who and when, is audited, and happens once."""
    remember(store, ORDERS)
    assert issued.revoke(store, [ORDERS], at=NOW, who="me") == [ORDERS]
    (audit, *_), revision = store.audits(), store.revision()
    assert (audit.who, audit.what) == ("me", "revoke orders (abcdef0123)")
    assert issued.revoke(store, [ORDERS], at=NOW + 5, who="you") == []
    assert store.revision() == revision
    assert issued.revoked(store)["abcdef0123"].who == "me"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("abcdef0123", ["abcdef0123"]),
        ("AB:CD:EF:01:23", ["abcdef0123"]),
        ("0x00abcdef0123", ["abcdef0123"]),
        ("abcdef01", ["abcdef0123"]),
        ("orders", ["abcdef0123", "abcdef9999"]),
        ("spiffe://shop.mesh/service/orders", ["abcdef0123", "abcdef9999"]),
        ("web", ["c"]),
        ("c", ["c"]),
    ],
)
def test_finding(store: SqliteStore, name: str, expected: list[str]) -> None:
    """A certificate is found by serial as any tool writes it, by the beginning of one, by identity and by name."""
    web = "spiffe://shop.mesh/service/web"
    remember(store, ORDERS, other("abcdef9999"), other("c", subject="web", service="web", identity=web))
    assert sorted(each.serial for each in issued.find(store, name)) == expected


@pytest.mark.parametrize(("name", "code"), [("abcdef", "not_found"), ("", "not_found"), ("abcdef00", "usage")])
def test_not_finding(store: SqliteStore, name: str, code: str) -> None:
    """What means nothing is not found, and a beginning that means several is refused."""
    remember(store, other("abcdef0011", identity=""), other("abcdef0022"))
    with pytest.raises(MeshError) as caught:
        issued.find(store, name)
    assert caught.value.code == code


def test_forgetting(store: SqliteStore) -> None:
    """A record outlives its certificate by a day, and so does a revocation; then both go."""
    old, young = other("a", not_after=NOW - 86401), other("b", not_after=NOW - 86399)
    remember(store, old, young)
    issued.revoke(store, [old, young], at=NOW, who="me")
    assert {each.key for each in issued.forgotten(store, "1", NOW)} == {"pki/issued/a", "pki/revoked/a"}


def test_reading_is_cheap(store: SqliteStore) -> None:
    """A proxy's look costs well under a millisecond, with many certificates on record."""
    remember(store, *(other(f"{number:x}") for number in range(1000)))
    trust_state.read(store, "orders")
    begin = time.process_time()
    for _ in range(50):
        trust_state.read(store, "orders")
    assert (time.process_time() - begin) / 50 < 0.001
