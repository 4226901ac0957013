"""The process that makes certificates: what it answers, what it never tells, and that it is gone afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import psutil
import pytest

from meshctl.control import issued
from meshctl.control.credentials import Credentials, Order, request
from meshctl.control.issuing import reply_to
from meshctl.control.order import Issued, Refused, Task
from meshctl.errors import MeshError
from meshctl.store.home import Home
from meshctl.store.sqlite import SqliteStore

from .judges import openssl

if TYPE_CHECKING:
    from conftest import Child

ORDERS = Order("workload", "shop.mesh", "orders", proxy="sidecar-1")
_T = TypeVar("_T")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes that start anywhere import this package."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.getcwd(), *sys.path])))


def run(work: Callable[[], Awaitable[_T]]) -> _T:
    """Await the work in a loop as a supervisor has one."""

    async def main() -> _T:
        return await work()

    return asyncio.run(main())


def test_credentials_come_back(home: Home, store: SqliteStore, tmp_path: Path) -> None:
    """A supervisor gets a certificate, its key and the bundle, on record for it, and the process is gone."""
    before = set(psutil.Process().children())
    found = run(lambda: request(home, ORDERS))
    assert openssl(tmp_path, found.certificate, found.bundle) == ""
    assert (found.identity, b"PRIVATE KEY" in found.key) == ("spiffe://shop.mesh/service/orders", True)
    assert [each.proxy for each in issued.issued(store)] == ["sidecar-1"]
    assert set(psutil.Process().children()) <= before


def test_several_at_once(home: Home, store: SqliteStore) -> None:
    """Requests of one or of several supervisors may overlap, from the first certificate of a mesh on."""

    async def three() -> list[Credentials]:
        return list(await asyncio.gather(*(request(home, ORDERS) for _ in range(3))))

    found = run(three)
    assert (len({each.serial for each in found}), len({each.root for each in found})) == (3, 1)


def test_many_hosts(home: Home) -> None:
    """A certificate for more hosts than fit into a pipe is made all the same."""
    hosts = tuple(f"host-{number}.{'x' * 40}.example.com" for number in range(2000))
    found = run(lambda: request(home, Order("edge", "shop.mesh", "gateway", hosts=hosts)))
    assert len(found.certificate) > 100_000


def test_errors_come_back(home: Home, store: SqliteStore) -> None:
    """What is wrong with the authority is told with its code, message and hint."""
    run(lambda: request(home, ORDERS))
    (home.path / "pki" / "intermediate-1.key").unlink()
    with pytest.raises(MeshError, match=r"intermediate-1\.key\" is missing") as caught:
        run(lambda: request(home, ORDERS))
    assert (caught.value.code, "backup" in caught.value.hint) == ("authority_unusable", True)


def test_a_process_that_is_slow(home: Home) -> None:
    """After the deadline the process is ended, and that is an error."""
    before = set(psutil.Process().children())
    # None at all, so that it is over even where the machine stands still until the process has answered.
    with pytest.raises(MeshError, match=r"within 0 s"):
        run(lambda: request(home, ORDERS, deadline=0.0))
    assert set(psutil.Process().children()) <= before


def test_a_cancelled_request(home: Home) -> None:
    """A request that is cancelled leaves no process behind."""
    before = set(psutil.Process().children())

    async def cancelled() -> None:
        task = asyncio.ensure_future(request(home, ORDERS))
        await asyncio.sleep(0)
        assert len(set(psutil.Process().children()) - before) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancelled)
    assert set(psutil.Process().children()) <= before


def test_a_python_that_cannot_start(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process cannot be started, or ends without a word, that is an error that says so."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(MeshError, match="cannot be started: no such file"):
        run(lambda: request(home, ORDERS))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(MeshError, match="ended with status 1"):
        run(lambda: request(home, ORDERS))


def test_unexpected_failures_say_nothing_but_their_kind() -> None:
    """What nobody foresaw is told by its kind alone: its text might repeat what it was given."""
    said = reply_to(b'{"home": "secret-in-the-task"')
    assert isinstance(said, Refused)
    assert ("DecodeError" in said.message, "secret" in said.message) == (True, False)


def test_a_home_that_is_gone(tmp_path: Path) -> None:
    """A home that does not exist is refused, not made."""
    said = reply_to(msgspec.json.encode(Task(str(tmp_path / "gone"), ORDERS)))
    assert isinstance(said, Refused)
    assert not (tmp_path / "gone").exists()


def test_representations_hide_keys(home: Home) -> None:
    """Credentials can be logged by mistake: their repr has no key, nor has that of what carries them."""
    said = reply_to(msgspec.json.encode(Task(str(home.path), ORDERS)))
    assert isinstance(said, Issued)
    assert "PRIVATE" not in repr(said)
    assert said.credentials.view.spiffe == "spiffe://shop.mesh/service/orders"


def test_a_supervisor_loads_no_cryptography(home: Home, child: Child) -> None:
    """Having asked for credentials a process still has neither cryptography nor the authority loaded."""
    program = """
    import asyncio, sys
    from pathlib import Path
    from meshctl.control import trust_state
    from meshctl.control.credentials import Order, request
    from meshctl.core import renewal
    from meshctl.store.home import Home
    found = asyncio.run(request(Home(Path(sys.argv[1])), Order("workload", "shop.mesh", "orders")))
    print(found.service, {"cryptography", "meshctl.control.authority", "meshctl.pki.authority"} & set(sys.modules))
    """
    assert child(program, home.path).communicate(timeout=60)[0] == "orders set()\n"


def test_it_is_quick(home: Home) -> None:
    """A certificate takes a fraction of a second, so that two hundred sidecars can start on a small machine."""
    run(lambda: request(home, ORDERS))
    before = os.times()
    begin = time.perf_counter()
    run(lambda: request(home, ORDERS))
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 1.0, f"{spent:.2f} s of CPU, {time.perf_counter() - begin:.2f} s in all"
