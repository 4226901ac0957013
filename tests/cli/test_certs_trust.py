"""certs trust: a real NSS database, the real tool of Debian on folders of its own, and what needs root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshctl.errors import MeshError
from meshctl.pki import authority, pem
from meshctl.pki.trust_stores import SYSTEMS, FolderStore, KeychainStore, NeedsRoot, System, TrustedRoot, stores

from .conftest import Meshctl

if TYPE_CHECKING:
    from tests.conftest import Child

ROOT = authority.make_root("shop.mesh root 1", now=1_790_000_000)
DEBIAN, FEDORA, *_ = SYSTEMS


@pytest.fixture
def root(tmp_path: Path) -> TrustedRoot:
    """A root in a file."""
    text = pem.write_certificates([ROOT.certificate])
    (tmp_path / "root.crt").write_bytes(text)
    return TrustedRoot(
        "meshctl-shop.mesh-root-1-0011aabb", pem.fingerprint(ROOT.certificate), text, tmp_path / "root.crt"
    )


@pytest.fixture
def user(folder: Path, monkeypatch: pytest.MonkeyPatch, meshctl: Meshctl) -> Path:
    """A user's home with an empty NSS database, as Chromium makes it, in a folder whose mesh has an authority."""
    if shutil.which("certutil") is None:
        pytest.skip("certutil is not installed")
    home = folder / "user"
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    subprocess.run(["certutil", "-N", "-d", f"sql:{database}", "--empty-password"], check=True)
    monkeypatch.setenv("HOME", str(home))
    meshctl("certs", "init")
    return home


def listed(user: Path) -> str:
    """What the user's database holds, as certutil lists it."""
    command = ["certutil", "-L", "-d", f"sql:{user / '.pki' / 'nssdb'}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def states(meshctl: Meshctl, *options: str) -> list[str]:
    """The state of the root in each store."""
    ended = meshctl("certs", "trust", "status", "-o", "json", *options)
    assert ended.status == 0, ended.err
    return [each["state"] for each in json.loads(ended.out)]


def test_browsers(user: Path, meshctl: Meshctl) -> None:
    """A root goes into a browser's own store as trusted for servers, stays there once, and comes out again."""
    assert states(meshctl, "--store", "nss") == ["missing"]
    first = meshctl("certs", "trust", "install", "--store", "nss")
    again = meshctl("certs", "trust", "install", "--store", "nss")
    assert (first.status, "is installed" in first.err) == (0, True)
    assert (again.status, "is there already" in again.err) == (0, True)
    assert "C,," in listed(user)
    assert states(meshctl, "--store", "nss") == ["installed"]
    assert meshctl("certs", "trust", "uninstall", "--store", "nss").status == 0
    assert ("C,," in listed(user), states(meshctl, "--store", "nss")) == (False, ["missing"])
    assert meshctl("certs", "trust", "uninstall", "--store", "nss").status == 0


def test_without_certutil(user: Path, meshctl: Meshctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where browsers have stores and certutil is missing, the error says what to install."""
    monkeypatch.setenv("PATH", str(user))
    ended = meshctl("certs", "trust", "install", "--store", "nss")
    assert (ended.status, "libnss3-tools" in ended.err) == (1, True)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_a_system_that_is_built(system: System, folder: Path, meshctl: Meshctl) -> None:
    """Below a prefix the root's file goes where that system expects it, readable by all, and nothing is run."""
    meshctl("certs", "init")
    (place := folder / "rootfs" / system.folder).mkdir(parents=True)
    before = os.umask(0o077)
    try:
        assert meshctl("certs", "trust", "install", "--prefix", "rootfs").status == 0
    finally:
        os.umask(before)
    (path,) = place.iterdir()
    assert (path.suffix, path.stat().st_mode & 0o777) == (system.suffix, 0o644)
    assert path.read_text() == meshctl("certs", "bundle").out
    assert states(meshctl, "--prefix", "rootfs") == ["installed"]
    assert meshctl("certs", "trust", "uninstall", "--prefix", "rootfs").status == 0
    assert list(place.iterdir()) == []


def test_no_store(folder: Path, meshctl: Meshctl) -> None:
    """Where no trust store is known, the roots can still be had."""
    meshctl("certs", "init")
    (folder / "rootfs").mkdir()
    ended = meshctl("certs", "trust", "install", "--prefix", "rootfs")
    assert (ended.status, "certs bundle" in ended.err) == (4, True)


def test_debians_own_tool(tmp_path: Path, root: TrustedRoot) -> None:
    """On Debian the refreshed store is one that OpenSSL verifies with, and after the removal it is not."""
    if shutil.which("update-ca-certificates") is None:
        pytest.skip("this is no Debian")
    for name in (DEBIAN.folder, "etc/ssl/certs", "usr/share/ca-certificates", "hooks"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ca-certificates.conf").touch()
    certificates = tmp_path / "etc" / "ssl" / "certs"
    refresh = (
        "update-ca-certificates",
        *("--certsconf", str(tmp_path / "ca-certificates.conf")),
        *("--certsdir", str(tmp_path / "usr/share/ca-certificates")),
        *("--localcertsdir", str(tmp_path / DEBIAN.folder)),
        *("--etccertsdir", str(certificates)),
        *("--hooksdir", str(tmp_path / "hooks")),
    )
    store = FolderStore(System("here", DEBIAN.folder, ".crt", refresh, (*refresh, "--fresh")), tmp_path)
    verify = ["openssl", "verify", "-no-CAfile", "-no-CAstore", "-CApath", str(certificates), str(root.file)]
    assert (store.has(root), subprocess.run(verify, capture_output=True, check=False).returncode) == (False, 2)
    store.install(root)
    assert (store.has(root), subprocess.run(verify, capture_output=True, check=False).returncode) == (True, 0)
    store.uninstall(root)
    assert (store.has(root), subprocess.run(verify, capture_output=True, check=False).returncode) == (False, 2)
    store.uninstall(root)


PROGRAM = """
import os, sys
from pathlib import Path
from typing import TYPE_CHECKING
from meshctl.pki.trust_stores import SYSTEMS, FolderStore, NeedsRoot, TrustedRoot
os.setuid(12345)
root = TrustedRoot("slug", "ff", b"pem", Path("/home/me/my root.crt"))
store = FolderStore(SYSTEMS[int(sys.argv[2])], Path(sys.argv[1]))
for act in (store.install, store.uninstall):
    try:
        act(root)
    except NeedsRoot as needed:
        print(needed.command)
"""


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (
            0,
            "sudo install -m 0644 '/home/me/my root.crt' {0}/usr/local/share/ca-certificates/slug.crt"
            " && sudo update-ca-certificates\n"
            "sudo rm {0}/usr/local/share/ca-certificates/slug.crt && sudo update-ca-certificates --fresh\n",
        ),
        (
            1,
            "sudo install -m 0644 '/home/me/my root.crt' {0}/etc/pki/ca-trust/source/anchors/slug.pem"
            " && sudo update-ca-trust extract\n"
            "sudo rm {0}/etc/pki/ca-trust/source/anchors/slug.pem && sudo update-ca-trust extract\n",
        ),
    ],
)
def test_what_root_must_run(at: int, expected: str, child: Child) -> None:
    """Who may not write the system's store is told exactly what to run."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    # Not below the tests' own folder, which others cannot even enter.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o755)
        folder = Path(name) / SYSTEMS[at].folder
        folder.mkdir(parents=True)
        (folder / f"slug{SYSTEMS[at].suffix}").write_text("there already")
        assert child(PROGRAM, name, at).communicate(timeout=60)[0] == expected.format(name)


def test_the_command_is_the_hint(folder: Path, meshctl: Meshctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Mac's keychain needs root: the command to run stands in the hint, and the exit status is 1."""
    meshctl("certs", "init")
    fake_security(folder, monkeypatch)
    monkeypatch.setattr("sys.platform", "darwin")
    if os.geteuid() == 0:
        ended = meshctl("certs", "trust", "install", "--store", "system")
        assert (ended.status, states(meshctl, "--store", "system")) == (0, ["installed"])
        return
    ended = meshctl("certs", "trust", "install", "--store", "system")
    assert (ended.status, "hint: run: sudo security add-trusted-cert -d -r trustRoot" in ended.err) == (1, True)


def fake_security(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that remembers as a Mac's `security` does, in a file: no Mac is at hand."""
    (bin_folder := folder / "bin").mkdir(exist_ok=True)
    script = bin_folder / "security"
    script.write_text(
        f"""#!/bin/sh
list={folder}/keychain
touch $list
case $1 in
  find-certificate) cat $list ;;
  add-trusted-cert) for last; do :; done
    echo "SHA-256 hash: $(openssl x509 -in "$last" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')" >> $list ;;
  delete-certificate) grep -v "$3" $list > $list.new; mv $list.new $list ;;
  *) exit 1 ;;
esac
"""
    )
    subprocess.run(["chmod", "+x", script], check=True)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")


def test_a_keychain(folder: Path, root: TrustedRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root is put into a keychain, found there by its fingerprint, and deleted by it; without root by a command."""
    fake_security(folder, monkeypatch)
    (store,) = stores(home=folder, platform="darwin")
    assert isinstance(store, KeychainStore)
    assert not store.has(root)
    if os.geteuid() != 0:
        with pytest.raises(NeedsRoot, match=r"^sudo security add-trusted-cert -d -r trustRoot -k /Library/"):
            store.install(root)
        return
    store.install(root)
    assert store.has(root)
    store.uninstall(root)
    assert not store.has(root)


def test_a_tool_that_fails(tmp_path: Path, root: TrustedRoot) -> None:
    """Where the system's own command fails or is missing, that is told with its last words."""
    (tmp_path / DEBIAN.folder).mkdir(parents=True)
    for refresh, said in (
        (("sh", "-c", "echo the disk is on fire >&2; exit 3"), "failed: the disk is on fire"),
        (("no-such-tool",), '"no-such-tool" is not installed'),
    ):
        store = FolderStore(System("here", DEBIAN.folder, ".crt", refresh, refresh), tmp_path)
        with pytest.raises(MeshError, match=said):
            store.install(root)
