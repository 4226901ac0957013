"""Commands of a rollout: what they find, what is told of them, and that they end."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import psutil
import pytest

from meshctl.control.hooks import run_hook
from meshctl.control.signal_names import signal_name


def run(command: str, folder: Path | str = "/", deadline: float = 60.0, **facts: str) -> str:
    """What went wrong with a command."""
    return asyncio.run(run_hook(command, facts, str(folder), deadline))


def test_what_it_finds(tmp_path: Path) -> None:
    """It runs by the shell, in its folder, with what there is to know in its environment, and nothing to read."""
    assert run('cat; echo "$MESHCTL_VERSION in $PWD" > said', tmp_path, MESHCTL_VERSION="v2") == ""
    assert (tmp_path / "said").read_text() == f"v2 in {tmp_path}\n"
    assert run("test $PWD = /", tmp_path / "gone") == ""


def test_what_it_does_not_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no secret of the proxy that runs it, and what another command said cannot keep it from running."""
    monkeypatch.setenv("MESHCTL_REDIS_PASSWORD", "hunter2")
    assert (
        run(
            'test -z "$MESHCTL_REDIS_PASSWORD" && test "$MESHCTL_REASON" = "a gate said x"',
            MESHCTL_REASON="a gate said \0x",
        )
        == ""
    )


def test_what_is_told(tmp_path: Path) -> None:
    """A failure is told with its status or signal and the end of what it said."""
    assert run("echo all is; echo lost >&2; exit 7") == "it ended with 7: all is lost"
    assert run("kill -TERM $$") == "it was ended by SIGTERM"
    assert run("kill -40 $$") == f"it was ended by {signal_name(40)}"
    assert (signal_name(signal.SIGRTMIN + 6), signal_name(33)) == ("SIGRTMIN+6", "33")
    assert len(run("seq 10000; exit 1")) < 400


def test_it_ends(tmp_path: Path) -> None:
    """At its deadline it is ended with all that it started; what it leaves behind by itself is not waited for."""
    (tmp_path / "pid").touch()
    for deadline in (0.3, 3.0, 10.0):
        told = run(f"sleep 100 & echo $! > {tmp_path}/pid; sleep 100", deadline=deadline)
        assert told == f"it did not end within {deadline:g} s"
        # A shell that had not come so far has shown nothing.
        if said := (tmp_path / "pid").read_text():
            break
    began = time.monotonic()
    while is_alive(int(said)):
        assert time.monotonic() - began < 30
        time.sleep(0.01)
    assert run("sleep 25 & exit 0", deadline=20.0) == ""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that merely waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
