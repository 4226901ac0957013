"""`meshctl logs` over the files that proxies have left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from threading import Event

import pytest

from meshctl.cli.app import run
from meshctl.store.home import open_home

from .conftest import command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which nothing runs."""
    return open_home(tmp_path / "home", create=True).path


def line(second: int, path: str, status: int = 200) -> str:
    """A line of an access log."""
    return json.dumps({"time": f"2026-11-22T09:00:{second:02}.000Z", "path": path, "status": status}) + "\n"


def write(home: Path, name: str, *lines: str) -> None:
    """Add lines to a log."""
    with (home / "logs" / f"{name}.log").open("a") as log:
        log.write("".join(lines))


def told(home: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines that are printed."""
    assert run(["--home", str(home), "logs", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_lines_come_in_the_order_of_time(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of several files are put in order, each with who wrote it; one that does not say when stays behind the one
    before it."""
    write(home, "orders-1", line(1, "/a"), "Traceback\n", "  at line 1\n", line(4, "/d"))
    write(home, "gateway", line(2, "/b"), line(3, "/c\x1b"))
    found = told(home, capsys)
    assert [each.split()[0] for each in found] == ["orders-1"] * 3 + ["gateway"] * 2 + ["orders-1"]
    assert found[1].split() == ["orders-1", "Traceback"]
    assert "\x1b" not in "".join(found)
    assert len(told(home, capsys, "-n", "2")) == 2
    assert [json.loads(each)["line"]["path"] for each in told(home, capsys, "-n", "1", "-o", "json")] == ["/d"]
    assert [json.loads(each)["path"] for each in told(home, capsys, "gateway")] == ["/b", "/c\x1b"]


def test_what_up_showed_is_in_the_order_of_time(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `up --detach` has shown stands where it was written, a request where it was answered, between the lines of
    sidecars."""
    shown = [f"2026-11-22T09:00:{second:02}.000Z " for second in (2, 5)]
    write(home, "up", f"{shown[0]}orders v1 ! 127.0.0.1 was here\n", f"{shown[1]}gateway   | {line(3, '/c')}")
    write(home, "orders-1", line(1, "/a"), line(4, "/d"))
    assert [each.split()[0] for each in told(home, capsys)] == ["orders-1", "up", "up", "orders-1"]


def test_lines_are_filtered(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a text and by the status of requests, before the last lines are counted."""
    write(home, "gateway", line(0, "/wanted", 503), *(line(second, "/other") for second in range(1, 50)))
    assert len(told(home, capsys, "-n", "5", "--status", "5xx")) == 1
    assert len(told(home, capsys, "--grep", "/wanted")) == 1
    assert told(home, capsys, "--grep", "/wanted", "--status", "2xx") == []
    assert run(["--home", str(home), "logs", "--status", "x"]) == 2


def test_without_files(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says why there is nothing to read, and ends with 4."""
    assert run(["--home", str(home), "logs"]) == 4
    assert "foreground" in capsys.readouterr().err


def test_following_goes_on_after_a_rotation(home: Path, tmp_path: Path) -> None:
    """New lines of all files are shown as they come, also of a file that was moved away and made anew, until Ctrl-C."""
    write(home, "gateway", line(1, "/old"))
    write(home, "orders-1", line(1, "/old"))
    out = tmp_path / "out"
    with out.open("wb") as sink:
        follower = subprocess.Popen(command("--home", str(home), "logs", "-f", "-n", "1"), stdout=sink, stderr=sink)
    try:
        until(out, "/old")
        write(home, "orders-1", line(2, "/new"))
        until(out, "/new")
        log = home / "logs" / "gateway.log"
        log.rename(home / "logs" / "gateway.log.1")
        write(home, "gateway", line(3, "/rotated"))
        until(out, "/rotated")
        os.kill(follower.pid, signal.SIGINT)
        assert follower.wait(60) == 0
    finally:
        follower.kill()
        follower.wait()
    assert "Traceback" not in out.read_text()


def until(out: Path, text: str) -> None:
    """Return when that was written."""
    for _ in range(3_000):
        if text in out.read_text():
            return
        Event().wait(0.02)
    raise AssertionError(out.read_text())
