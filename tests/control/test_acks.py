"""Proxies are found while they live, and whoever applies hears what each of them said."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from meshctl import clock
from meshctl.control.acks import Report, acknowledge, await_acks, proxies, register
from meshctl.errors import MeshError
from meshctl.model.views import Acknowledgement, ProxyRecord
from meshctl.store.home import Home
from meshctl.store.protocol import Audit, Delete, Expect, Put
from meshctl.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from conftest import Child

# A proxy as far as the store knows one: it registers, and at each line it is given it answers what that says.
_PROXY = """
    import os, sys
    from pathlib import Path
    from meshctl.control.acks import acknowledge, register
    from meshctl.model.views import Acknowledgement, ProxyRecord
    from meshctl.store.sqlite import SqliteStore
    store = SqliteStore(Path(sys.argv[1]))
    lease = store.grant(600)
    register(store, ProxyRecord(sys.argv[2], "gateway", os.getpid(), 1.0, "socket"), lease)
    print("registered", flush=True)
    for line in sys.stdin:
        number, _, reason = line.strip().partition(" ")
        acknowledge(store, Acknowledgement(sys.argv[2], int(number), not reason, reason), lease)
        print("said", flush=True)
    store.release(lease)
    store.close()
"""


def _started(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert process.stdout is not None
    assert process.stdout.readline() == "registered\n"
    return process


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _said(process: subprocess.Popen[str], line: str) -> None:
    _tell(process, line)
    assert process.stdout is not None
    assert process.stdout.readline() == "said\n"


@pytest.fixture
def lease(store: SqliteStore) -> str:
    """A lease that outlives the test."""
    return store.grant(600)


def _record(name: str, pid: int | None = None) -> ProxyRecord:
    return ProxyRecord(name, "gateway", os.getpid() if pid is None else pid, 1.0, "socket")


@pytest.fixture
def dead(child: Child) -> Iterator[int]:
    """The id of a process that has ended."""
    process = child("pass")
    process.wait()
    return process.pid


def test_registered(store: SqliteStore, lease: str) -> None:
    """A proxy is found under its lease, with its latest record, and no longer; registering is audited, and what it
    tells of itself later is not."""
    register(store, _record("a"), lease)
    later = ProxyRecord("a", "gateway", os.getpid(), 1.0, "socket", admin="http://127.0.0.1:1")
    register(store, later, lease)
    assert proxies(store) == [later]
    assert [audit.what for audit in store.audits()] == ["register gateway a"]
    store.release(lease)
    assert proxies(store) == []


def test_a_killed_proxy_is_gone(home: Home, store: SqliteStore, child: Child) -> None:
    """A proxy that was killed is not listed, although its lease still runs; one that stops takes its record along."""
    killed, stopped = (_started(child(_PROXY, home.database, name)) for name in ("killed", "stopped"))
    assert [record.id for record in proxies(store)] == ["killed", "stopped"]
    killed.kill()
    killed.wait()
    assert [record.id for record in proxies(store)] == ["stopped"]
    stopped.communicate(timeout=60)
    assert ([record.id for record in proxies(store)], len(store.list("proxies/"))) == ([], 1)


def test_an_id_is_taken_once(home: Home, store: SqliteStore, lease: str, child: Child) -> None:
    """An id that a living process holds is refused to another one, which is told the process; a dead one's is free."""
    holder = _started(child(_PROXY, home.database, "gateway"))
    with pytest.raises(MeshError, match=f"pid {holder.pid}") as caught:
        register(store, _record("gateway"), lease)
    assert caught.value.code == "already_running"
    _said(holder, "1")
    holder.kill()
    holder.wait()
    register(store, _record("gateway"), lease)
    assert [record.pid for record in proxies(store)] == [os.getpid()]
    assert await_acks(store, 1, 0) == [Report("gateway", "silent", "it has not answered")]


def test_two_register_at_once(home: Home, store: SqliteStore, child: Child) -> None:
    """Of processes that register the same id at the same moment exactly one gets it; the others are told."""
    program = """
        import os, sys
        from pathlib import Path
        from meshctl.control.acks import register
        from meshctl.errors import MeshError
        from meshctl.model.views import ProxyRecord
        from meshctl.store.sqlite import SqliteStore
        store = SqliteStore(Path(sys.argv[1]))
        lease = store.grant(600)
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            register(store, ProxyRecord("gateway", "gateway", os.getpid(), 1.0, "socket"), lease)
            print("mine", flush=True)
        except MeshError as error:
            print(error.code, flush=True)
        sys.stdin.readline()
    """
    children = [child(program, home.database) for _ in range(3)]
    said = []
    for expected in ("ready\n", None):
        for process in children:
            assert process.stdout is not None
            if expected is None:
                said.append(process.stdout.readline())
                continue
            assert process.stdout.readline() == expected
        if expected:
            for process in children:
                _tell(process, "go")
    assert sorted(said) == ["already_running\n", "already_running\n", "mine\n"]


def test_overtaken_while_registering(home: Home, store: SqliteStore, child: Child) -> None:
    """Who is overtaken between looking for the id's holder and taking the id is told like one that came too late."""

    class Slow(SqliteStore):
        def transact(
            self, changes: Sequence[Put | Delete], *, expect: Sequence[Expect] = (), audit: Audit | None = None
        ) -> int:
            _started(child(_PROXY, home.database, "gateway"))
            return super().transact(changes, expect=expect, audit=audit)

    slow = Slow(home.database)
    with pytest.raises(MeshError, match="already runs") as caught:
        register(slow, _record("gateway"), slow.grant(600))
    slow.close()
    assert caught.value.code == "already_running"
    assert os.getpid() not in [record.pid for record in proxies(store)]


def test_nobody_runs(store: SqliteStore, dead: int, lease: str) -> None:
    """With no living proxy there is nothing to wait for."""
    register(store, _record("dead", dead), lease)
    began = clock.monotonic()
    assert await_acks(store, 1, 60) == []
    assert clock.monotonic() - began < 30


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Acknowledgement("a", 3, True), Report("a", "accepted")),
        (Acknowledgement("a", 3, False, "port 80 is taken"), Report("a", "refused", "port 80 is taken")),
        (Acknowledgement("a", 4, True), Report("a", "accepted")),
        (Acknowledgement("a", 4, False, "no"), Report("a", "refused", "revision 4: no")),
        (Acknowledgement("a", 2, True), Report("a", "silent", "it has not answered")),
        (None, Report("a", "silent", "it has not answered")),
    ],
)
def test_answers(store: SqliteStore, lease: str, answer: Acknowledgement | None, expected: Report) -> None:
    """An answer to the revision or a later one counts; one to an earlier revision does not."""
    register(store, _record("a"), lease)
    if answer is not None:
        acknowledge(store, answer, lease)
    assert await_acks(store, 3, 0) == [expected]


def test_waits_for_all(home: Home, store: SqliteStore, child: Child) -> None:
    """The wait ends when the last of several proxies has spoken, and each answer is told as it comes."""
    first, second = (_started(child(_PROXY, home.database, name)) for name in ("first", "second"))
    told: list[list[str]] = []
    answers = iter([(second, "1 it does not fit"), (first, "1")])

    def on_change(reports: list[Report]) -> None:
        told.append([report.status for report in reports])
        # The next proxy speaks only when the answer before is known: the order of events is the test's.
        if (step := next(answers, None)) is not None:
            _tell(*step)

    reports = await_acks(store, 1, 60, on_change)
    assert reports == [Report("first", "accepted"), Report("second", "refused", "it does not fit")]
    assert told == [["silent", "silent"], ["silent", "refused"], ["accepted", "refused"]]


def test_waits_no_longer_than_said(home: Home, store: SqliteStore, child: Child) -> None:
    """A proxy that stays silent is reported so when the time is up, beside those that have answered."""
    first, _ = (_started(child(_PROXY, home.database, name)) for name in ("first", "second"))
    _said(first, "1")
    began = clock.monotonic()
    reports = await_acks(store, 1, 0.3)
    assert 0.3 <= clock.monotonic() - began < 30
    assert [(report.proxy, report.status) for report in reports] == [("first", "accepted"), ("second", "silent")]


def test_a_proxy_that_dies_is_not_waited_for(home: Home, store: SqliteStore, child: Child) -> None:
    """A proxy that is killed before it answers ends the wait at once, and the report says what became of it."""
    victim = _started(child(_PROXY, home.database, "victim"))

    def kill() -> None:
        victim.kill()
        victim.wait()

    killer = threading.Thread(target=kill)
    began = clock.monotonic()
    reports = await_acks(store, 1, 60, lambda _: None if killer.ident else killer.start())
    killer.join()
    assert reports == [Report("victim", "silent", "it ended before it answered")]
    assert clock.monotonic() - began < 30
