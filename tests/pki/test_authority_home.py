"""The authority in a home: made on demand and once, private by birth, renewed in time, clear about what is wrong."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshctl.control import issued, trust_state
from meshctl.control.authority import Authority
from meshctl.control.credentials import Order
from meshctl.errors import MeshError
from meshctl.pki import authority as pki
from meshctl.pki import pem
from meshctl.store.home import Home, open_home
from meshctl.store.sqlite import SqliteStore

from .judges import openssl

if TYPE_CHECKING:
    from conftest import Child

ORDERS = Order("workload", "shop.mesh", "orders", proxy="sidecar-1")
DAY = pki.DAY


@pytest.fixture
def authority(home: Home, store: SqliteStore) -> Authority:
    """The authority of a home that has none yet."""
    return Authority(home, store)


@pytest.fixture
def no_umask() -> Iterator[None]:
    """The most generous umask: what is private in spite of it is private by birth."""
    before = os.umask(0)
    yield
    os.umask(before)


def put(authority: Authority, *, root_age: float, intermediate_age: float, passphrase: bytes | None = None) -> None:
    """Files as an authority of that age would have left them."""
    now = time.time()
    with authority.files.locked():
        root = pki.make_root("old root", now=now - root_age)
        authority.files.write_root(1, root, passphrase)
        authority.files.write_intermediate(1, pki.make_intermediate(root, "old", now=now - intermediate_age))


def failure(authority: Authority) -> MeshError:
    """Why nothing can be issued."""
    with pytest.raises(MeshError) as caught:
        authority.issue(ORDERS)
    return caught.value


# making


def test_made_on_demand(authority: Authority, home: Home, store: SqliteStore, tmp_path: Path) -> None:
    """The first certificate makes the authority; chain and bundle hold, and all of it is on record."""
    assert trust_state.bundle(store) is None
    found = authority.issue(ORDERS)
    assert openssl(tmp_path, found.certificate, found.bundle) == ""
    assert (found.identity, found.service) == ("spiffe://shop.mesh/service/orders", "orders")
    assert found.not_after - time.time() == pytest.approx(DAY, abs=60)
    bundle = trust_state.bundle(store)
    assert bundle is not None
    assert (bundle.pem, bundle.issuing.fingerprint, bundle.fingerprints) == (found.bundle, found.root, found.roots)
    (entry,) = issued.issued(store)
    assert (entry.serial, entry.identity, entry.proxy, entry.kind) == (
        found.serial,
        found.identity,
        "sidecar-1",
        "workload",
    )
    assert [audit.what for audit in store.audits()] == [f"issue {found.identity}", "make the mesh's authority"]
    assert sorted(path.name for path in (home.path / "pki").iterdir()) == [
        "intermediate-1.crt",
        "intermediate-1.key",
        "lock",
        "root-1.crt",
        "root-1.key",
    ]


def test_made_once(authority: Authority, home: Home, store: SqliteStore) -> None:
    """Issuing again uses the same authority, with other keys and serials."""
    first, second = authority.issue(ORDERS), Authority(home, store).issue(ORDERS)
    assert first.bundle == second.bundle
    assert len({first.key, second.key}) == len({first.serial, second.serial}) == 2


def test_names(authority: Authority) -> None:
    """Root and intermediate are called after the mesh, so that people recognise them in a trust store."""
    authority.ensure("shop.mesh")
    text = authority.files.read_root_certificate(1).subject.rfc4514_string()
    assert text == "CN=shop.mesh root 1,O=meshctl"


@pytest.mark.usefixtures("no_umask")
def test_private_by_birth(tmp_path: Path, child: Child) -> None:
    """Under the most generous umask everything in the directory is the owner's alone, and nothing ever changes a mode:
    so it was born that way."""
    program = """
    import os, sys
    from pathlib import Path
    os.umask(0)
    sys.addaudithook(lambda event, _: event.startswith(("os.chmod", "os.fchmod")) and os._exit(9))
    from meshctl.control.authority import Authority
    from meshctl.control.credentials import Order
    from meshctl.store.home import open_home
    from meshctl.store.sqlite import SqliteStore
    home = open_home(sys.argv[1])
    Authority(home, SqliteStore(home.database)).issue(Order("workload", "shop.mesh", "orders"))
    """
    process = child(program, tmp_path / "home")
    process.communicate(timeout=60)
    assert process.returncode == 0
    folder = tmp_path / "home" / "pki"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_several_processes_at_once(tmp_path: Path, child: Child) -> None:
    """Processes that need the first certificate at the same moment all get one, of one authority."""
    program = """
    import sys
    from meshctl.control.authority import Authority
    from meshctl.control.credentials import Order
    from meshctl.store.home import open_home
    from meshctl.store.sqlite import SqliteStore
    home = open_home(sys.argv[1])
    authority = Authority(home, SqliteStore(home.database))
    from meshctl.pki import authority as _, pem
    print("ready", flush=True)
    sys.stdin.readline()
    print(authority.issue(Order("workload", "shop.mesh", "orders")).root)
    """
    open_home(tmp_path / "home")
    processes = [child(program, tmp_path / "home") for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    # All have loaded everything: now they start within microseconds of each other.
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    roots = {process.communicate(timeout=60)[0] for process in processes}
    assert ([process.returncode for process in processes], len(roots)) == ([0, 0, 0], 1)
    with closing(SqliteStore(tmp_path / "home" / "mesh.db")) as store:
        assert len(issued.issued(store)) == 3


def test_a_lost_store_finds_its_authority(authority: Authority, home: Home) -> None:
    """Where the store is gone and the files are there, the same root goes on being trusted."""
    before = authority.issue(ORDERS)
    for path in home.path.glob("mesh.db*"):
        path.unlink()
    with closing(SqliteStore(home.database)) as store:
        assert Authority(home, store).issue(ORDERS).root == before.root


@pytest.mark.parametrize("lost", [("root-1.crt",), ("intermediate-1.crt",), ("intermediate-1.crt", "root-1.crt")])
def test_a_crash_while_making(authority: Authority, home: Home, store: SqliteStore, lost: tuple[str, ...]) -> None:
    """What an interrupted beginning left is completed or made anew."""
    put(authority, root_age=0, intermediate_age=0)
    for name in lost:
        (home.path / "pki" / name).unlink()
    if "root-1.crt" in lost:
        (home.path / "pki" / "intermediate-1.crt").unlink(missing_ok=True)
    assert authority.issue(ORDERS).serial


# servers


def test_servers(authority: Authority, store: SqliteStore, tmp_path: Path) -> None:
    """A server's certificate is for its hosts, as long as asked, without an identity, and on record."""
    order = Order("edge", "shop.mesh", "gateway", hosts=("*.example.com", "127.0.0.1"), proxy="gateway", life=3 * DAY)
    found = authority.issue(order)
    assert openssl(tmp_path, found.certificate, found.bundle, "-verify_hostname", "a.example.com") == ""
    assert (found.identity, found.not_after - time.time()) == ("", pytest.approx(3 * DAY, abs=60))
    (entry,) = issued.issued(store)
    assert (entry.kind, entry.subject, entry.hosts) == ("edge", "*.example.com", order.hosts)


def test_hosts_that_are_none(authority: Authority) -> None:
    """A server's certificate for what is no host is refused, saying for what."""
    with pytest.raises(MeshError, match="no certificate can be made for a b") as caught:
        authority.issue(Order("server", "shop.mesh", hosts=("a b",)))
    assert caught.value.code == "usage"


# damage


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("intermediate-1.key", None, 'intermediate-1.key" is missing'),
        ("intermediate-1.key", b"", "holds no PEM private key"),
        ("intermediate-1.key", b"garbage", "holds no PEM private key"),
        ("intermediate-1.crt", b"garbage", "holds no PEM certificate"),
        ("intermediate-1.key", pem.write_key(pki.new_key()), "does not fit the certificate"),
        ("intermediate-1.key", pem.write_key(pki.new_key(), b"secret"), "is encrypted"),
    ],
)
def test_damaged_files(authority: Authority, home: Home, name: str, content: bytes | None, message: str) -> None:
    """A missing or damaged file is an error that names it and says what to do."""
    authority.ensure("shop.mesh")
    path = home.path / "pki" / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    error = failure(authority)
    assert (error.code, error.exit_status) == ("authority_unusable", 1)
    assert message in error.message
    assert str(path) in error.message
    assert error.hint


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_keys_that_others_can_read(authority: Authority, home: Home, mode: int) -> None:
    """A key file that is open to others is not used, and the error says how open it is."""
    authority.ensure("shop.mesh")
    path = home.path / "pki" / "intermediate-1.key"
    text = path.read_bytes()
    path.unlink()
    before = os.umask(0)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, mode))
    os.umask(before)
    path.write_bytes(text)
    error = failure(authority)
    assert error.message == f'"{path}" is open to other users (mode {mode:04o})'
    assert f"chmod 600 {path}" in error.hint


def test_keys_of_somebody_else(authority: Authority, home: Home) -> None:
    """A key file that belongs to another user is not used."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    authority.ensure("shop.mesh")
    os.chown(home.path / "pki" / "intermediate-1.key", 12345, -1)
    assert "belongs to user 12345" in failure(authority).message


def test_a_forged_intermediate(authority: Authority, home: Home) -> None:
    """An intermediate that the trusted root has not signed is not used."""
    authority.ensure("shop.mesh")
    other = pki.make_root("shop.mesh root 1", now=time.time())
    authority.files.write_intermediate(1, pki.make_intermediate(other, "forged", now=time.time()))
    assert "not signed by the root that the mesh trusts" in failure(authority).message


def test_errors_hold_no_keys(authority: Authority, home: Home) -> None:
    """Nothing that is said of a damaged key repeats what is in it."""
    authority.ensure("shop.mesh")
    path = home.path / "pki" / "intermediate-1.key"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], lines[1][:-2] + b"!!", *lines[2:]]))
    error = failure(authority)
    assert lines[1][:20].decode() not in f"{error.message}{error.hint}{error.__cause__}"


# time


def test_an_old_intermediate_is_renewed(authority: Authority, home: Home, tmp_path: Path) -> None:
    """In its last third the intermediate is renewed under its own key, and what it signed before still holds."""
    put(authority, root_age=300 * DAY, intermediate_age=200 * DAY)
    before = authority.issue(ORDERS)
    old = authority.files.read_intermediate(1)
    put_back = pki.make_intermediate(
        authority.files.read_root(authority.files.read_root_certificate(1), 1, None),
        "old",
        now=time.time() - 300 * DAY,
        key=old.key,
    )
    authority.files.write_intermediate(1, put_back)
    found = authority.issue(ORDERS)
    renewed = authority.files.read_intermediate(1)
    assert renewed.certificate.not_valid_after_utc.timestamp() > time.time() + 360 * DAY
    assert pem.fits(renewed.certificate, old.key)
    leaf = pem.read_certificates(before.certificate)[0]
    assert openssl(tmp_path, pem.write_certificates([leaf, renewed.certificate]), found.bundle) == ""


@pytest.mark.parametrize("away", ["gone", "encrypted"])
def test_a_root_key_that_is_away(authority: Authority, home: Home, store: SqliteStore, away: str) -> None:
    """Without the root's key an intermediate works to its end, and only then is it an error; with the passphrase it is
    renewed."""
    passphrase = b"secret" if away == "encrypted" else None
    put(authority, root_age=400 * DAY, intermediate_age=300 * DAY, passphrase=passphrase)
    if away == "gone":
        (home.path / "pki" / "root-1.key").unlink()
    first = authority.issue(ORDERS)
    assert first.not_after > time.time()
    intermediate = authority.files.read_intermediate(1)
    assert intermediate.certificate.not_valid_after_utc.timestamp() < time.time() + 70 * DAY
    if passphrase:
        Authority(home, store, passphrase=passphrase).ensure("shop.mesh")
        renewed = authority.files.read_intermediate(1).certificate
        assert renewed.not_valid_after_utc.timestamp() > time.time() + 360 * DAY


@pytest.mark.parametrize(("away", "reason"), [("gone", "is missing"), ("encrypted", "is encrypted")])
def test_an_expired_intermediate(authority: Authority, home: Home, away: str, reason: str) -> None:
    """An expired intermediate whose root's key is away is an error that says which key is needed."""
    put(authority, root_age=500 * DAY, intermediate_age=400 * DAY, passphrase=b"s" if away == "encrypted" else None)
    if away == "gone":
        (home.path / "pki" / "root-1.key").unlink()
    error = failure(authority)
    assert "root-1.key" in error.message
    assert reason in error.message


@pytest.mark.parametrize(
    ("age", "message"), [(3651 * DAY, "root 1 of the mesh's authority expired on"), (-DAY, "is not valid before")]
)
def test_a_root_out_of_its_time(authority: Authority, age: float, message: str) -> None:
    """A root that expired, or that was made by a clock that ran ahead, is an error that says so."""
    put(authority, root_age=age, intermediate_age=age)
    error = failure(authority)
    assert message in error.message
    assert "certs rotate --root" in error.hint


def test_an_intermediate_of_a_clock_that_ran_ahead(authority: Authority) -> None:
    """An intermediate that is not valid yet is made again, where the root can."""
    put(authority, root_age=DAY, intermediate_age=-DAY)
    found = authority.issue(ORDERS)
    assert found.not_before <= time.time()
    assert authority.files.read_intermediate(1).certificate.not_valid_before_utc.timestamp() <= time.time()


def test_a_passphrase_protects_the_root(home: Home, store: SqliteStore) -> None:
    """With a passphrase the root's key is written encrypted, and issuing needs none."""
    Authority(home, store, passphrase=b"secret").ensure("shop.mesh")
    assert b"ENCRYPTED" in (home.path / "pki" / "root-1.key").read_bytes()
    assert Authority(home, store).issue(ORDERS).serial


def test_an_offline_root(home: Home, store: SqliteStore, tmp_path: Path) -> None:
    """An offline root's key is written to its own directory and never to the home."""
    (away := tmp_path / "stick").mkdir()
    Authority(home, store, offline=away).ensure("shop.mesh")
    assert [path.name for path in away.iterdir()] == ["root-1.key"]
    assert not (home.path / "pki" / "root-1.key").exists()
    assert Authority(home, store).issue(ORDERS).serial
