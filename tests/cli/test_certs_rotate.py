"""certs rotate, --root included, in front of several proxies: each one's identity followed, stubborn ones named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meshctl.control import trust_state
from meshctl.store.home import Home, open_home
from meshctl.store.sqlite import SqliteStore
from tests.e2e.waiting import until
from tests.pki.member import Member

from .conftest import Ended, Meshctl, command

StartMember = Callable[..., Member]


@pytest.fixture
def mesh(folder: Path) -> Home:
    """A mesh of one service, nothing applied."""
    (folder / "mesh.toml").write_text('[mesh]\nname = "shop"\n[services.orders]\n')
    return open_home(folder / ".meshctl")


@pytest.fixture
def start(mesh: Home) -> Iterator[StartMember]:
    """Starts proxies: `start("orders")`, `start("orders", "orders-2")`."""
    started: list[Member] = []

    def one(*words: str) -> Member:
        started.append(Member(mesh, *words))
        return started[-1]

    yield one
    for each in started:
        each.stop()


def document(ended: Ended) -> Any:
    """The JSON on stdout."""
    return json.loads(ended.out)


def roots(mesh: Home) -> tuple[str, ...]:
    """Who is trusted."""
    with closing(SqliteStore(mesh.database)) as store:
        return trust_state.read(store, "orders").roots


# certificates


def test_rotate_everything(start: StartMember, meshctl: Meshctl) -> None:
    """Every proxy has a new certificate when the command returns, and each is told."""
    members = [start("orders"), start("orders", "orders-2"), start("web")]
    before = {each.own.serial for each in members}
    ended = meshctl("certs", "rotate")
    after = {each.own.serial for each in members}
    assert (ended.status, before & after, len(after)) == (0, set(), 3)
    assert [f"  {each.name}  {each.service}  has it" in ended.err for each in members] == [True] * 3


def test_rotate_one_service(start: StartMember, meshctl: Meshctl) -> None:
    """Only proxies of the named services get new certificates."""
    orders, web = start("orders"), start("web")
    before = orders.own.serial, web.own.serial
    (row,) = document(meshctl("certs", "rotate", "orders", "-o", "json"))
    assert (orders.own.serial != before[0], web.own.serial) == (True, before[1])
    assert (row["proxy"], row["service"], row["lacks"]) == ("orders-1", "orders", None)
    assert row["identity"]["serial"] == orders.own.serial


def test_a_proxy_that_is_behind(start: StartMember, meshctl: Meshctl) -> None:
    """A proxy without a new certificate when the time is up is named, and the command ends with 1."""
    start("orders")
    web = start("web")
    web.is_stubborn.set()
    ended = meshctl("certs", "rotate", "--all", "--timeout", "0.5")
    assert (ended.status, "orders-1  orders  has it" in ended.err) == (1, True)
    assert f"web-1  behind: still has the certificate {web.own.serial} of generation 0" in ended.err
    web.is_stubborn.clear()
    web.is_silent.set()
    ended = meshctl("certs", "rotate", "--timeout", "0.5")
    assert (ended.status, 'web-1  behind: proxy "web-1"' in ended.err) == (1, True)


def test_nobody_to_rotate(mesh: Home, meshctl: Meshctl) -> None:
    """Without a running proxy the next one starts anew, and a service that nobody knows is an error."""
    SqliteStore(mesh.database).close()
    meshctl("apply")
    ended = meshctl("certs", "rotate", "orders")
    assert (ended.status, "no running proxy uses such a certificate" in ended.err) == (0, True)
    ended = meshctl("certs", "rotate", "order")
    assert (ended.status, 'did you mean "orders"?' in ended.err) == (4, True)


@pytest.mark.parametrize(
    "arguments",
    [["orders", "--all"], ["--root", "orders"], ["--root", "--all"], ["--status"], ["--root", "--abort", "--resume"]],
)
def test_words_that_exclude_each_other(arguments: list[str], mesh: Home, meshctl: Meshctl) -> None:
    """Combinations that mean nothing are usage errors."""
    assert meshctl("certs", "rotate", *arguments).status == 2


def test_used_by(start: StartMember, meshctl: Meshctl) -> None:
    """The list tells which running proxy uses which certificate; those that were replaced are hidden."""
    orders = start("orders")
    meshctl("certs", "rotate")
    rows = [each for each in document(meshctl("certs", "ls", "-o", "json")) if each["kind"] == "workload"]
    assert {each["serial"]: each["used_by"] for each in rows} == {orders.own.serial: ["orders-1"]}
    rows = document(meshctl("certs", "ls", "--all", "-o", "json"))
    assert [each["kind"] for each in rows] == ["root", "intermediate", "workload", "workload"]


def test_revoking_a_living_one(start: StartMember, meshctl: Meshctl) -> None:
    """A service whose certificate is revoked has a new one soon; every proxy is known to have heard of it."""
    orders = start("orders")
    before = orders.own.serial
    ended = meshctl("certs", "revoke", "orders", "-o", "json")
    assert (ended.status, document(ended)) == (0, {"revoked": [before], "behind": []})
    until(lambda: orders.own.serial != before, "a new certificate")


# the root


def test_a_new_root(start: StartMember, mesh: Home, meshctl: Meshctl) -> None:
    """The mesh goes over to a new root step by step, and at no moment do two proxies not trust each other."""
    members = [start("orders"), start("web")]
    (old,) = roots(mesh)
    ended = meshctl("certs", "rotate", "--root")
    assert ended.status == 0, ended.err
    (new,) = roots(mesh)
    assert new != old
    told = [line.partition(":")[0] for line in ended.err.splitlines() if not line.startswith("  ")]
    assert told[:4] == ["planned", "trusting", "reissuing", "dropping"]
    assert "certs trust install" in ended.err
    for one in members:
        assert (one.own.root, one.state.roots) == (new, (new,))
        # Whatever the order in which they took it up: every certificate is under a root that every bundle had.
        assert [len(trusted) for _, trusted in one.history if old in trusted and new in trusted] != []
        assert all(issuer in trusted for issuer, trusted in one.history)
    assert meshctl("certs", "rotate", "--root", "--status").err == "no rotation of the root is under way\n"


@pytest.mark.parametrize("step", ["trusting", "reissuing"])
@pytest.mark.parametrize("way", ["--resume", "--abort"])
def test_a_proxy_that_holds_it_up(step: str, way: str, start: StartMember, mesh: Home, meshctl: Meshctl) -> None:
    """A rotation does not pass a proxy that is behind: it names it and stops, shows where it stands, and is resumed or
    aborted when that is seen to."""
    start("orders")
    web = start("web")
    (old,) = roots(mesh)
    (web.is_stubborn if step == "trusting" else web.keeps_certificate).set()
    interrupt_at(step)
    ended = meshctl("certs", "rotate", "--root", "--resume", "--timeout", "0.5")
    assert (ended.status, f"waits at step {step} for web-1" in ended.err) == (1, True), ended.err
    shown = meshctl("certs", "rotate", "--root", "--status").out
    assert (f"step      {step}" in shown, "has all it needs" in shown) == (True, True), shown
    lacks = document(meshctl("certs", "rotate", "--root", "--status", "-o", "json"))["lacks"]
    assert (lacks["orders-1"], bool(lacks["web-1"])) == ("", True)
    assert meshctl("certs", "rotate", "--root").status == 1
    web.is_stubborn.clear()
    web.keeps_certificate.clear()
    ended = meshctl("certs", "rotate", "--root", way)
    assert ended.status == 0, ended.err
    (end,) = roots(mesh)
    assert (end == old) == (way == "--abort")
    assert (web.own.root, web.state.roots) == (end, (end,))


def interrupt_at(step: str) -> None:
    """Run a rotation in a process of its own, and press Ctrl-C when it has come to `step`."""
    words = command("certs", "rotate", "--root")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.startswith(step) for line in process.stderr)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert (process.wait(60), "nothing is lost: `meshctl certs rotate --root --resume`" in rest) == (130, True)


def test_nothing_to_resume(start: StartMember, meshctl: Meshctl) -> None:
    """Without a rotation there is nothing to resume or to abort."""
    start("orders")
    for way in ("--resume", "--abort"):
        ended = meshctl("certs", "rotate", "--root", way)
        assert (ended.status, "no rotation of the root is under way" in ended.err) == (4, True)


def test_what_proxies_do_not_renew_is_told(start: StartMember, meshctl: Meshctl) -> None:
    """Certificates of the user's own servers under the old root are named, and an unprotected key of the new one."""
    start("orders")
    Path("pass").write_text("secret")
    Path("pass").chmod(0o600)
    meshctl("certs", "issue", "localhost")
    meshctl("certs", "init", "--passphrase-file", "pass")
    ended = meshctl("certs", "rotate", "--root")
    assert (ended.status, "issue anew what is signed by the old root: localhost" in ended.err) == (0, True)
    assert "root-2.key; `meshctl certs init --passphrase` protects it" in ended.err


def test_a_protected_new_root(start: StartMember, mesh: Home, meshctl: Meshctl) -> None:
    """The new root's key can be encrypted, or kept elsewhere, from the beginning."""
    start("orders")
    Path("pass").write_text("secret")
    Path("pass").chmod(0o600)
    os.mkdir("stick")
    assert meshctl("certs", "rotate", "--root", "--passphrase-file", "pass").status == 0
    assert b"ENCRYPTED" in (mesh.path / "pki" / "root-2.key").read_bytes()
    ended = meshctl("certs", "rotate", "--root", "--offline-root", "stick", "-o", "json")
    assert (ended.status, document(ended)["is_new"], os.listdir("stick")) == (0, True, ["root-3.key"])
    assert not (mesh.path / "pki" / "root-3.key").exists()


def test_a_root_without_proxies(mesh: Home, meshctl: Meshctl) -> None:
    """Where nothing runs the root is replaced at once; where there is none, that is said."""
    SqliteStore(mesh.database).close()
    assert meshctl("certs", "rotate", "--root").status == 4
    meshctl("certs", "init")
    before = roots(mesh)
    assert meshctl("certs", "rotate", "--root").status == 0
    assert (len(roots(mesh)), roots(mesh) != before) == (1, True)


def test_what_chains_to_a_root_that_is_gone(mesh: Home, meshctl: Meshctl) -> None:
    """A certificate under a root that nobody trusts any more is not shown as a valid one."""
    meshctl("certs", "init")
    meshctl("certs", "issue", "localhost")
    assert document(meshctl("certs", "ls", "-o", "json"))[-1]["state"] == "valid"
    assert meshctl("certs", "rotate", "--root").status == 0
    (listed,) = [each for each in document(meshctl("certs", "ls", "-o", "json")) if each["subject"] == "localhost"]
    assert listed["state"] == "untrusted"
    assert "untrusted" in meshctl("certs", "show", "localhost").out
    assert meshctl("certs", "verify", "localhost.crt").status == 1


def test_retired_roots_are_taken_out(mesh: Home, folder: Path, meshctl: Meshctl) -> None:
    """Uninstalling takes out also the roots that were rotated away."""
    place = folder / "rootfs" / "usr/local/share/ca-certificates"
    place.mkdir(parents=True)
    meshctl("certs", "init")
    meshctl("certs", "trust", "install", "--prefix", "rootfs")
    meshctl("certs", "rotate", "--root")
    meshctl("certs", "trust", "install", "--prefix", "rootfs")
    assert len(list(place.iterdir())) == 2
    assert meshctl("certs", "trust", "uninstall", "--prefix", "rootfs").status == 0
    assert list(place.iterdir()) == []
