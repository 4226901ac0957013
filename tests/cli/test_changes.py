"""apply, diff, history, rollback: the way of a change, with and without proxies that listen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from meshctl.control import acks, revisions
from meshctl.model.views import Acknowledgement, ProxyRecord
from meshctl.store.home import open_home
from meshctl.store.sqlite import SqliteStore

from .conftest import Meshctl


@pytest.fixture
def mesh(folder: Path, meshctl: Meshctl) -> Path:
    """A mesh.toml with one service, not applied."""
    meshctl("init")
    return folder / "mesh.toml"


def edit(mesh: Path, old: str, new: str) -> None:
    """Replace `old`, which must be there, in the file."""
    text = mesh.read_text()
    assert old in text
    mesh.write_text(text.replace(old, new))


class Proxy:
    """The store side of a proxy: registers, and answers every revision as it is told."""

    def __init__(self, home: Path, *, refuses: str = "") -> None:
        self._store = SqliteStore(open_home(home).database)
        self._refuses = refuses
        self._lease = self._store.grant(60)
        acks.register(self._store, ProxyRecord("gateway-1", "gateway", os.getpid(), 0.0, socket=""), self._lease)
        self._stopped = Event()
        self._thread = Thread(target=self._answer)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self._thread.join()
        self._store.close()

    def _answer(self) -> None:
        answered = 0
        while not self._stopped.wait(0.01):
            current = revisions.pointer(self._store)
            if current is not None and current.number > answered:
                answered = current.number
                said = Acknowledgement("gateway-1", answered, accepted=not self._refuses, reason=self._refuses)
                acks.acknowledge(self._store, said, self._lease)


@pytest.fixture
def proxy(folder: Path, mesh: Path) -> Iterator[Proxy]:
    """A proxy that accepts everything."""
    running = Proxy(folder / ".meshctl")
    yield running
    running.stop()


def test_apply_without_proxies(meshctl: Meshctl, mesh: Path) -> None:
    """The first apply is revision 1, tells what it changed, and needs nothing that runs."""
    ended = meshctl("apply")
    assert (ended.status, ended.out) == (0, "")
    assert "+ services.web: " in ended.err
    assert "revision 1 is applied" in ended.err
    assert "no proxy is running" in ended.err


def test_apply_twice_changes_nothing(meshctl: Meshctl, mesh: Path) -> None:
    """What is current already makes no new revision."""
    meshctl("apply")
    assert "revision 1 is already current" in meshctl("apply").err


def test_apply_of_a_broken_file_changes_nothing(meshctl: Meshctl, mesh: Path) -> None:
    """A file that does not hold is refused whole: status 3, and what was applied stays current."""
    meshctl("apply")
    edit(mesh, 'service = "web"', 'service = "wbe"')
    ended = meshctl("apply")
    assert ended.status == 3
    assert 'did you mean "web"?' in ended.err
    assert json.loads(meshctl("config", "history", "-o", "json").out)["current"] == 1


def test_diff(meshctl: Meshctl, mesh: Path) -> None:
    """`diff` shows what apply would change, and ends with 0 unless --exit-code is given."""
    meshctl("apply")
    assert (meshctl("diff").out, meshctl("diff", "--exit-code").status) == ("", 0)
    edit(mesh, "127.0.0.1:8000", "127.0.0.1:8001")
    ended = meshctl("diff")
    assert ended.status == 0
    assert ended.out.splitlines() == [
        "- services.web.endpoints.127.0.0.1:8000",
        "+ services.web.endpoints.127.0.0.1:8001",
    ] or [line[0] for line in ended.out.splitlines()] == ["-", "+"]
    assert meshctl("diff", "--exit-code").status == 1
    document = json.loads(meshctl("diff", "-o", "json").out)
    assert (document["revision"], [each["kind"] for each in document["changes"]]) == (1, ["removed", "added"])


def test_diff_makes_no_home(meshctl: Meshctl, mesh: Path, folder: Path) -> None:
    """Before the first apply everything is new, and looking leaves no state behind."""
    assert "+ services.web" in meshctl("diff").out
    assert not (folder / ".meshctl").exists()


def test_expect_names_what_changed(meshctl: Meshctl, mesh: Path) -> None:
    """With --expect an apply over somebody else's change is a conflict that names it, and changes nothing."""
    meshctl("apply")
    edit(mesh, "127.0.0.1:8000", "127.0.0.1:8001")
    meshctl("apply")
    edit(mesh, "127.0.0.1:8001", "127.0.0.1:8002")
    ended = meshctl("apply", "--expect", "1")
    assert ended.status == 1
    assert "revision 1 is no longer current" in ended.err
    assert "127.0.0.1:8001" in ended.err
    assert json.loads(meshctl("config", "history", "-o", "json").out)["current"] == 2
    assert meshctl("apply", "--expect", "2").status == 0


def test_apply_waits_for_every_proxy(meshctl: Meshctl, mesh: Path, proxy: Proxy) -> None:
    """Apply returns when the running proxy has taken the revision, and says so."""
    ended = meshctl("apply")
    assert ended.status == 0
    assert "gateway-1  accepted" in ended.err
    edit(mesh, "127.0.0.1:8000", "127.0.0.1:8001")
    document = json.loads(meshctl("apply", "-o", "json").out)
    assert document["revision"] == 2
    assert document["proxies"] == [{"proxy": "gateway-1", "status": "accepted", "reason": "", "pending": []}]


def test_a_refusal_is_told(meshctl: Meshctl, mesh: Path, folder: Path) -> None:
    """A proxy that refuses the revision makes apply end with 1, with its reason."""
    proxy = Proxy(folder / ".meshctl", refuses="port 8080 is taken by nginx (pid 7)")
    try:
        ended = meshctl("apply")
    finally:
        proxy.stop()
    assert ended.status == 1
    assert "gateway-1  refused: port 8080 is taken by nginx (pid 7)" in ended.err


def test_a_silent_proxy_is_told(meshctl: Meshctl, mesh: Path, folder: Path, proxy: Proxy) -> None:
    """A proxy that does not answer in time makes apply end with 1, and is named."""
    proxy._stopped.set()
    proxy._thread.join()
    ended = meshctl("apply", "--timeout", "0.05")
    assert ended.status == 1
    assert "gateway-1  silent" in ended.err


def test_history_and_rollback(meshctl: Meshctl, mesh: Path) -> None:
    """Rollback makes an earlier content a new revision; the history keeps all of them and marks the current one."""
    meshctl("apply")
    edit(mesh, "127.0.0.1:8000", "127.0.0.1:8001")
    meshctl("apply")
    ended = meshctl("config", "rollback")
    assert ended.status == 0
    assert "revision 3 is applied" in ended.err
    document = json.loads(meshctl("config", "history", "-o", "json").out)
    assert (document["current"], [each["number"] for each in document["revisions"]]) == (3, [3, 2, 1])
    assert document["revisions"][0]["hash"] == document["revisions"][2]["hash"]
    assert [line.split()[0] for line in meshctl("config", "history", "-n", "2").out.splitlines()] == [
        "REVISION",
        "3",
        "2",
    ]
    assert meshctl("config", "rollback", "99").status == 4


def test_export(meshctl: Meshctl, mesh: Path) -> None:
    """What was applied can be had back as a file that says the same, whichever revision it was."""
    assert meshctl("config", "export").status == 4
    assert meshctl("apply").status == 0
    edit(mesh, "127.0.0.1:8000", "127.0.0.1:8001")
    assert meshctl("apply").status == 0
    # As the shell does for `> mesh.toml`.
    mesh.write_text("")
    mesh.write_text(meshctl("config", "export").out)
    assert "127.0.0.1:8001" in mesh.read_text()
    assert meshctl("diff", "--exit-code").status == 0
    mesh.write_text(meshctl("config", "export", "1").out)
    assert "127.0.0.1:8000" in mesh.read_text()
    assert meshctl("diff", "--exit-code").status == 1
    assert meshctl("config", "export", "9").status == 4
