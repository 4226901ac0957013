"""certs init, issue, ls, show, verify, bundle, revoke: in a home without proxies, against OpenSSL."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from meshctl.control.authority_files import AuthorityFiles
from meshctl.pki import authority as pki
from meshctl.store.home import open_home

from .conftest import Ended, Meshctl


@pytest.fixture
def mesh(folder: Path, meshctl: Meshctl) -> Path:
    """A folder with a mesh.toml, and in it the home of its mesh."""
    (folder / "mesh.toml").write_text('[mesh]\nname = "shop"\n')
    return folder


def document(ended: Ended) -> Any:
    """The JSON on stdout of a command that went well."""
    assert ended.status == 0, ended.err
    return json.loads(ended.out)


def openssl(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run OpenSSL."""
    return subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)


# init


def test_init(mesh: Path, meshctl: Meshctl) -> None:
    """`certs init` makes the authority, says where and what is next, and done twice changes nothing."""
    first, second = meshctl("certs", "init"), meshctl("certs", "init")
    assert (first.status, second.status, first.out) == (0, 0, second.out)
    assert "made the authority of this mesh; next: meshctl certs trust install" in first.err
    assert "found the authority" in second.err
    assert (mesh / ".meshctl" / "pki" / "root-1.crt").exists()
    assert document(meshctl("certs", "init", "-o", "json"))["fingerprint"] in first.out
    shown = openssl("x509", "-in", mesh / ".meshctl/pki/root-1.crt", "-noout", "-subject", cwd=mesh)
    assert "CN = shop.mesh root 1" in shown.stdout


def test_init_with_a_passphrase(mesh: Path, meshctl: Meshctl) -> None:
    """With a passphrase the root's key is encrypted, also where the authority was there before; issuing needs none."""
    key = mesh / ".meshctl" / "pki" / "root-1.key"
    (mesh / "pass").write_text("secret\n")
    (mesh / "pass").chmod(0o600)
    meshctl("certs", "init")
    assert openssl("pkey", "-in", key, "-noout", cwd=mesh).returncode == 0
    assert "protected the key" in meshctl("certs", "init", "--passphrase-file", "pass").err
    assert openssl("pkey", "-in", key, "-noout", "-passin", "pass:wrong", cwd=mesh).returncode != 0
    assert openssl("pkey", "-in", key, "-noout", "-passin", "pass:secret", cwd=mesh).returncode == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert meshctl("certs", "issue", "localhost").status == 0


def test_init_with_an_offline_root(mesh: Path, meshctl: Meshctl) -> None:
    """With --offline-root the key leaves the home, and what it signed goes on."""
    (stick := mesh / "stick").mkdir()
    meshctl("certs", "init")
    ended = meshctl("certs", "init", "--offline-root", stick)
    assert (ended.status, [path.name for path in stick.iterdir()]) == (0, ["root-1.key"])
    assert not (mesh / ".meshctl" / "pki" / "root-1.key").exists()
    assert meshctl("certs", "issue", "localhost").status == 0
    assert meshctl("certs", "init", "--offline-root", stick).status == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--passphrase-file", "nowhere"], "cannot be read"),
        (["--passphrase-file", "empty"], "is empty"),
        (["--passphrase-file", "open"], "can be read by others"),
        (["--passphrase"], "no terminal to ask"),
    ],
)
def test_passphrases_that_cannot_be_had(
    arguments: list[str], said: str, mesh: Path, process: Meshctl, meshctl: Meshctl
) -> None:
    """Without a usable passphrase nothing is made, and the error says why."""
    (mesh / "empty").write_text("\n")
    (mesh / "open").write_text("secret")
    (mesh / "open").chmod(0o640)
    ended = process("certs", "init", *arguments)
    assert (ended.status, said in ended.err) == (2, True)
    assert not (mesh / ".meshctl" / "pki").exists()


# issue


def test_issue(mesh: Path, meshctl: Meshctl) -> None:
    """`certs issue` writes a chain and a private key that OpenSSL takes for each of the hosts."""
    ended = meshctl("certs", "issue", "api.example.test", "*.example.test", "--dns", "localhost", "--ip", "127.0.0.1")
    assert (ended.status, ended.out.split()) == (0, ["api.example.test.crt", "api.example.test.key"])
    assert "for 90d" in ended.err
    assert stat.S_IMODE((mesh / "api.example.test.key").stat().st_mode) == 0o600
    meshctl("certs", "bundle", "--out", "roots.pem")
    chain = "api.example.test.crt"
    verify = ["verify", "-x509_strict", "-CAfile", "roots.pem", "-untrusted", chain, "-purpose", "sslserver"]
    for host in ("api.example.test", "x.example.test", "localhost"):
        assert openssl(*verify, "-verify_hostname", host, chain, cwd=mesh).returncode == 0
    assert openssl(*verify, "-verify_ip", "127.0.0.1", chain, cwd=mesh).returncode == 0
    assert openssl(*verify, "-verify_hostname", "other.test", chain, cwd=mesh).returncode != 0


def test_issue_for_a_client(mesh: Path, meshctl: Meshctl) -> None:
    """Only with --client a certificate is good for a client."""
    meshctl("certs", "issue", "server")
    meshctl("certs", "issue", "client", "--client")
    meshctl("certs", "bundle", "--out", "roots.pem")
    verdicts = [
        openssl(
            "verify", "-CAfile", "roots.pem", "-untrusted", name, "-purpose", "sslclient", name, cwd=mesh
        ).returncode
        for name in ("server.crt", "client.crt")
    ]
    assert (verdicts[0] != 0, verdicts[1]) == (True, 0)


def test_issue_p12(mesh: Path, meshctl: Meshctl) -> None:
    """--p12 writes a file that opens with the passphrase that was told or given, and is private."""
    (mesh / "pass").write_text("other")
    (mesh / "pass").chmod(0o600)
    assert 'the passphrase of localhost.p12 is "changeit"' in meshctl("certs", "issue", "localhost", "--p12").err
    meshctl("certs", "issue", "laptop", "--p12", "--p12-passphrase-file", "pass")
    for name, word in (("localhost", "changeit"), ("laptop", "other")):
        assert stat.S_IMODE((mesh / f"{name}.p12").stat().st_mode) == 0o600
        shown = openssl("pkcs12", "-in", f"{name}.p12", "-passin", f"pass:{word}", "-noenc", cwd=mesh)
        assert (shown.returncode, shown.stdout.count("BEGIN CERTIFICATE"), "PRIVATE KEY" in shown.stdout) == (
            0,
            2,
            True,
        )
    assert openssl("pkcs12", "-in", "laptop.p12", "-passin", "pass:changeit", "-noenc", cwd=mesh).returncode != 0


def test_issue_elsewhere(mesh: Path, meshctl: Meshctl) -> None:
    """--out names a folder, which is made; a wildcard and an address become file names."""
    out = document(meshctl("certs", "issue", "*.a.test", "--out", "certs/deep", "-o", "json"))
    assert out["files"] == {"crt": "certs/deep/_wildcard.a.test.crt", "key": "certs/deep/_wildcard.a.test.key"}
    assert meshctl("certs", "issue", "::1").out.split() == ["__1.crt", "__1.key"]
    assert all(Path(path).exists() for path in out["files"].values())


def test_issue_does_not_replace(mesh: Path, meshctl: Meshctl) -> None:
    """A file that is there stays, and nothing is issued, unless --force is given."""
    (mesh / "localhost.crt").write_text("mine")
    ended = meshctl("certs", "issue", "localhost")
    assert (ended.status, '"localhost.crt" is already there' in ended.err) == (1, True)
    assert ((mesh / "localhost.crt").read_text(), (mesh / "localhost.key").exists()) == ("mine", False)
    assert not (mesh / ".meshctl" / "pki").exists()
    assert meshctl("certs", "issue", "localhost", "--force").status == 0
    assert "BEGIN CERTIFICATE" in (mesh / "localhost.crt").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["a b"], 2, "no certificate can be made for a b"),
        (["localhost", "--ip", "localhost"], 2, "--ip: 'localhost' does not appear to be"),
        (["localhost", "--days", "0"], 2, "--days"),
        (["localhost", "--days", "366"], 2, "--days"),
        ([], 2, "missing argument"),
        (["localhost", "--out", "file/below"], 1, "cannot be made"),
    ],
)
def test_issue_for_nobody(arguments: list[str], status: int, said: str, mesh: Path, meshctl: Meshctl) -> None:
    """What cannot be issued is an error that says what is wrong."""
    (mesh / "file").touch()
    ended = meshctl("certs", "issue", *arguments)
    assert (ended.status, said in ended.err.lower()) == (status, True), ended.err


def test_a_broken_authority(mesh: Path, meshctl: Meshctl) -> None:
    """A damaged key file ends the command with 1, naming the file and what to do."""
    meshctl("certs", "init")
    key = mesh / ".meshctl" / "pki" / "intermediate-1.key"
    key.write_text("garbage")
    ended = meshctl("certs", "issue", "localhost")
    assert (ended.status, str(key) in ended.err, "hint: put it back from a backup" in ended.err) == (1, True, True)
    assert not (mesh / "localhost.crt").exists()


# ls, show


def test_ls_of_nothing(mesh: Path, meshctl: Meshctl) -> None:
    """Without a home there is nothing to list; in one without an authority the table is empty and says so."""
    assert meshctl("certs", "ls").status == 4
    (mesh / "mesh.toml").write_text('[[routes]]\nrespond = { status = 200 }\npath = "/"\n')
    meshctl("apply")
    ended = meshctl("certs", "ls")
    assert (ended.status, ended.out, "no certificate has been issued" in ended.err) == (0, "", True)


def test_ls(mesh: Path, meshctl: Meshctl) -> None:
    """The list has the root and each certificate with what is left of its life."""
    meshctl("certs", "issue", "localhost", "127.0.0.1", "--days", "10")
    head, root, intermediate, row = meshctl("certs", "ls").out.splitlines()
    assert head.split() == ["SUBJECT", "KIND", "STATE", "LEFT", "OF", "ITS", "LIFE", "SERIAL", "USED", "BY", "IDENTITY"]
    assert root.startswith("root 1")
    assert "3649d 23h  ██████████" in root
    assert intermediate.startswith("intermediate 1")
    assert "364d 23h" in intermediate
    assert row.startswith("localhost")
    assert "9d 23h  ██████████" in row
    assert row.endswith("localhost, 127.0.0.1")
    documents = document(meshctl("certs", "ls", "-o", "json"))
    assert [(each["kind"], each["state"], each["used_by"]) for each in documents] == [
        ("root", "valid", []),
        ("intermediate", "valid", []),
        ("server", "valid", []),
    ]


@pytest.mark.parametrize("away", ["encrypted", "offline"])
def test_an_intermediate_that_grows_old(away: str, mesh: Path, meshctl: Meshctl) -> None:
    """Where the root's key is away, the list and `init` warn of an intermediate in its last third, and `init` with the
    key renews it."""
    (mesh / "pass").write_text("secret")
    (mesh / "pass").chmod(0o600)
    (mesh / "stick").mkdir()
    options = ["--passphrase-file", "pass"] if away == "encrypted" else ["--offline-root", "stick"]
    files = AuthorityFiles(open_home(mesh / ".meshctl"), mesh / "stick" if away == "offline" else None)
    secret = b"secret" if away == "encrypted" else None
    with files.locked():
        root = pki.make_root("shop.mesh root 1", now=time.time() - 300 * pki.DAY)
        files.write_root(1, root, secret)
        files.write_intermediate(1, pki.make_intermediate(root, "old", now=time.time() - 300 * pki.DAY))
    for arguments in (["init"], ["ls"]):
        ended = meshctl("certs", *arguments)
        assert (ended.status, "what signs all certificates lives 64d 23h longer" in ended.err) == (0, True)
    assert ("due" in ended.out, "not in this home" in meshctl("certs", "init").out) == (True, away == "offline")
    ended = meshctl("certs", "init", *options)
    assert (ended.status, "longer" in ended.err) == (0, False)
    assert "due" not in meshctl("certs", "ls").out


def test_show(mesh: Path, meshctl: Meshctl) -> None:
    """A certificate is shown by name, by serial, by the beginning of it, and out of its file."""
    serial = document(meshctl("certs", "issue", "localhost", "-o", "json"))["serial"]
    for name in ("localhost", serial, serial[:12], serial.upper()):
        (shown,) = document(meshctl("certs", "show", name, "-o", "json"))
        assert (shown["certificate"]["serial"], shown["revoked"], shown["used_by"]) == (serial, None, [])
    leaf, intermediate = document(meshctl("certs", "show", "localhost.crt", "-o", "json"))
    assert (leaf["serial"], intermediate["subject"]) == (serial, "shop.mesh intermediate 1")
    assert f"serial       {serial}" in meshctl("certs", "show", "localhost.crt").out
    assert f"serial       {serial}" in meshctl("certs", "show", "localhost").out


@pytest.mark.parametrize("verb", ["show", "revoke"])
def test_unknown_certificates(verb: str, mesh: Path, meshctl: Meshctl) -> None:
    """What was never issued is not found."""
    meshctl("certs", "init")
    ended = meshctl("certs", verb, "nobody")
    assert (ended.status, 'no certificate "nobody"' in ended.err) == (4, True)


# verify


def test_verify(mesh: Path, meshctl: Meshctl) -> None:
    """A certificate of the mesh verifies for its hosts, ends with 1 for others, and after it was revoked."""
    meshctl("certs", "issue", "localhost")
    good = meshctl("certs", "verify", "localhost.crt", "--for", "localhost")
    assert (good.status, "localhost ← shop.mesh intermediate 1 ← shop.mesh root 1" in good.out) == (0, True)
    bad = meshctl("certs", "verify", "localhost.crt", "--for", "other", "-o", "json")
    assert (bad.status, json.loads(bad.out)["holds"]) == (1, False)
    assert [each["name"] for each in json.loads(bad.out)["checks"] if not each["holds"]] == ["host"]
    meshctl("certs", "revoke", "localhost")
    assert meshctl("certs", "verify", "localhost.crt").status == 1


def test_verify_what_is_from_elsewhere(mesh: Path, meshctl: Meshctl) -> None:
    """A certificate of another mesh does not verify; what is no certificate, or not there, is told so."""
    meshctl("--home", "other", "certs", "issue", "localhost")
    meshctl("certs", "init")
    ended = meshctl("certs", "verify", "localhost.crt")
    assert (ended.status, "neither in the file nor a trusted root" in ended.out) == (1, True)
    assert meshctl("certs", "verify", "nowhere.crt").status == 4
    assert meshctl("certs", "verify", "mesh.toml").status == 3


def test_verify_without_an_authority(mesh: Path, meshctl: Meshctl) -> None:
    """Where no authority was made, verify and bundle say how to make it."""
    meshctl("--home", "other", "certs", "issue", "localhost")
    (mesh / ".meshctl").mkdir(mode=0o700)
    for arguments in (["verify", "localhost.crt"], ["bundle"], ["trust", "status"]):
        ended = meshctl("certs", *arguments)
        assert (ended.status, "certs init" in ended.err) == (4, True)


# bundle, revoke


def test_bundle(mesh: Path, meshctl: Meshctl) -> None:
    """The bundle on stdout is the root's PEM and nothing else."""
    meshctl("certs", "init")
    ended = meshctl("certs", "bundle")
    assert (ended.out, ended.err) == ((mesh / ".meshctl" / "pki" / "root-1.crt").read_text(), "")
    (root,) = document(meshctl("certs", "bundle", "-o", "json"))["roots"]
    assert root["certificate"] == ended.out


def test_revoke(mesh: Path, meshctl: Meshctl) -> None:
    """A revoked certificate is listed as such, with who did it; doing it again is no error."""
    meshctl("certs", "issue", "localhost")
    first, second = meshctl("certs", "revoke", "localhost"), meshctl("certs", "revoke", "localhost")
    assert (first.status, second.status) == (0, 0)
    assert "is revoked" in first.err
    assert "was revoked already" in second.err
    assert document(meshctl("certs", "ls", "-o", "json"))[-1]["state"] == "revoked"
    (shown,) = document(meshctl("certs", "show", "localhost", "-o", "json"))
    assert f"({os.getpid()})" in shown["revoked"]["who"]


def test_secrets_are_not_told(mesh: Path, meshctl: Meshctl) -> None:
    """No command prints a private key or a passphrase."""
    (mesh / "pass").write_text("hunter2")
    (mesh / "pass").chmod(0o600)
    said = ""
    for arguments in (
        ["init", "--passphrase-file", "pass"],
        ["issue", "localhost", "--p12", "--p12-passphrase-file", "pass", "-o", "json"],
        ["ls", "-o", "json"],
        ["show", "localhost", "-o", "json"],
        ["bundle", "-o", "json"],
    ):
        ended = meshctl("certs", *arguments)
        assert ended.status == 0
        said += ended.out + ended.err
    assert ("PRIVATE" in said, "hunter2" in said) == (False, False)
