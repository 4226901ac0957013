"""The rotation of a root in a home: each step's transaction, two who drive at once, the files of what is gone."""

from __future__ import annotations

import msgspec
import pytest

from meshctl.control import rotation, trust_state
from meshctl.control.authority import Authority
from meshctl.control.confirming import Standing
from meshctl.control.credentials import Credentials, Order
from meshctl.control.rotation import Rotation, advance, begin, turn_back
from meshctl.control.trust_state import TrustState, must_reissue
from meshctl.errors import MeshError
from meshctl.pki import pem
from meshctl.pki.chain import examine
from meshctl.store.home import Home
from meshctl.store.protocol import Conflict
from meshctl.store.sqlite import SqliteStore

ORDERS = Order("workload", "shop.mesh", "orders")


@pytest.fixture
def authority(home: Home, store: SqliteStore) -> Authority:
    """An authority that has issued."""
    made = Authority(home, store)
    made.ensure("shop.mesh")
    return made


def files(authority: Authority) -> list[str]:
    """The names of the authority's files."""
    return sorted(path.name for path in authority.files.folder.iterdir() if path.suffix in (".crt", ".key"))


def holds(credentials: Credentials, bundle: bytes) -> bool:
    """Whether the certificate chains to a root of the bundle."""
    chain, roots = pem.read_certificates(credentials.certificate), pem.read_certificates(bundle)
    now = credentials.not_before + 1200
    return all(check.holds for check in examine(chain, roots, trust_domain="shop.mesh", now=now, revoked=()))


def states(store: SqliteStore, authority: Authority) -> list[tuple[str, int, bool]]:
    """Each step from here to the end: its name, how many roots are trusted, and whether the new one issues."""
    found, seen = rotation.rotation(store), []
    while found is not None:
        state = trust_state.read(store, "orders")
        seen.append((found.step, len(state.roots), state.issuing == found.new.fingerprint))
        found = advance(store, authority, found)
    return seen


def test_forward(store: SqliteStore, authority: Authority) -> None:
    """A rotation trusts both roots before it issues under the new one, and drops the old one after that."""
    before = authority.issue(ORDERS)
    begin(store, authority, "shop.mesh")
    assert states(store, authority) == [
        ("planned", 1, False),
        ("trusting", 2, False),
        ("reissuing", 2, True),
        ("dropping", 1, True),
    ]
    after = authority.issue(ORDERS)
    assert (holds(after, after.bundle), holds(before, after.bundle), holds(after, before.bundle)) == (
        True,
        False,
        False,
    )
    assert files(authority) == ["intermediate-2.crt", "intermediate-2.key", "root-2.crt", "root-2.key"]
    bundle = trust_state.bundle(store)
    assert bundle is not None
    assert [root.fingerprint for root in bundle.retired] == [before.root]
    what = [audit.what for audit in store.audits()]
    assert sum("rotat" in each for each in what) == 5


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_backward(store: SqliteStore, authority: Authority, steps: int) -> None:
    """From every step but the last an abort leads back to the old root, and nothing of the new one stays trusted."""
    before = authority.issue(ORDERS)
    found: Rotation | None = begin(store, authority, "shop.mesh")
    for _ in range(steps):
        assert found is not None
        found = advance(store, authority, found)
    assert found is not None
    during = authority.issue(ORDERS)
    turn_back(store, authority, found)
    assert {name for name, *_ in states(store, authority)} <= {"returning", "untrusting"}
    after = authority.issue(ORDERS)
    assert (after.root, after.bundle, rotation.rotation(store)) == (before.root, before.bundle, None)
    assert holds(during, after.bundle) == (steps < 2)
    assert files(authority) == ["intermediate-1.crt", "intermediate-1.key", "root-1.crt", "root-1.key"]


def test_too_late(store: SqliteStore, authority: Authority) -> None:
    """Once the old root is being dropped there is no way back."""
    found: Rotation | None = begin(store, authority, "shop.mesh")
    while found is not None and found.step != "dropping":
        found = advance(store, authority, found)
    assert found is not None
    with pytest.raises(MeshError, match="too late to go back") as caught:
        turn_back(store, authority, found)
    assert caught.value.code == "refused"


def test_turning_back_twice(store: SqliteStore, authority: Authority) -> None:
    """An abort of an abort changes nothing."""
    found = turn_back(store, authority, begin(store, authority, "shop.mesh"))
    revision = store.revision()
    assert turn_back(store, authority, found) == found
    assert store.revision() == revision


def test_no_way_back_to_what_is_broken(store: SqliteStore, authority: Authority) -> None:
    """Where the old authority cannot sign any more, an abort is refused, and the way forward stays open."""
    found: Rotation | None = begin(store, authority, "shop.mesh")
    (authority.files.folder / "intermediate-1.key").unlink()
    while found is not None and found.step != "reissuing":
        found = advance(store, authority, found)
    assert found is not None
    with pytest.raises(MeshError, match=r"intermediate-1\.key\" is missing"):
        turn_back(store, authority, found)
    while found is not None:
        found = advance(store, authority, found)
    assert authority.issue(ORDERS).serial


def test_one_at_a_time(store: SqliteStore, authority: Authority) -> None:
    """A second rotation is refused, saying who began the first and what to do."""
    begin(store, authority, "shop.mesh")
    with pytest.raises(MeshError, match="under way, begun by") as caught:
        begin(store, authority, "shop.mesh")
    assert (caught.value.code, "--resume" in caught.value.hint) == ("conflict", True)


def test_two_drivers(store: SqliteStore, authority: Authority) -> None:
    """Of two who take the same step one is told that it was taken; the step is taken once."""
    found = begin(store, authority, "shop.mesh")
    advance(store, authority, found)
    with pytest.raises(Conflict):
        advance(store, authority, found)
    with pytest.raises(Conflict):
        turn_back(store, authority, found)
    after = rotation.rotation(store)
    assert after is not None
    assert after.step == "trusting"


def test_without_an_authority(home: Home, store: SqliteStore) -> None:
    """Where there is no root there is nothing to rotate, and none is made."""
    with pytest.raises(MeshError, match="no authority yet"):
        begin(store, Authority(home, store), "shop.mesh")
    assert trust_state.bundle(store) is None


def test_an_interrupted_plan(store: SqliteStore, authority: Authority) -> None:
    """A new root whose plan never reached the store is used by the next rotation."""
    with authority.files.locked():
        left = authority.make_root(2, "shop.mesh")
    assert authority.issue(ORDERS).roots != (left.fingerprint,)
    assert begin(store, authority, "shop.mesh").new == left


def test_an_interrupted_end(store: SqliteStore, authority: Authority) -> None:
    """Where the files of the old root are gone and the record is not, the end is reached all the same."""
    found: Rotation | None = begin(store, authority, "shop.mesh")
    while found is not None and found.step != "dropping":
        found = advance(store, authority, found)
    assert found is not None
    authority.files.remove(1)
    assert advance(store, authority, found) is None
    assert rotation.rotation(store) is None


def test_rotations_follow_each_other(store: SqliteStore, authority: Authority) -> None:
    """Roots are numbered on, and the last five that were dropped are remembered."""
    for _ in range(7):
        begin(store, authority, "shop.mesh")
        states(store, authority)
    bundle = trust_state.bundle(store)
    assert bundle is not None
    assert (bundle.active, [root.number for root in bundle.retired]) == (8, [3, 4, 5, 6, 7])


def test_what_proxies_are_asked(store: SqliteStore, authority: Authority) -> None:
    """In each step the store asks proxies for exactly what the step waits for."""
    own = authority.issue(ORDERS)
    found: Rotation | None = begin(store, authority, "shop.mesh")
    while found is not None:
        state: TrustState = trust_state.read(store, "orders")
        if must_reissue(state, serial=own.serial, root=own.root, generation=own.generation):
            own = authority.issue(ORDERS)
        # A proxy takes up whom to trust at once, whatever certificate it has.
        identity = msgspec.structs.replace(own.view, roots=state.roots)
        assert found.lack(Standing("p", "orders", identity)) == ""
        found = advance(store, authority, found)
