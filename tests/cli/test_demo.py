"""The demo: real traffic, and nothing left of it, however it ends."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from .conftest import command

Demo = subprocess.Popen[str]


@pytest.fixture
def demo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    """A demo that has just been started; its files lie in the test's folder."""
    monkeypatch.setenv("TMPDIR", str(folder))
    process = subprocess.Popen(command("demo"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def first_figures(demo: Demo) -> str:
    """The demo's first line of figures."""
    assert demo.stdout is not None
    line = demo.stdout.readline()
    assert line, demo.stderr.read() if demo.stderr else ""
    return line


def family(demo: Demo) -> list[psutil.Process]:
    """Every process that the demo has started, at any distance."""
    found = psutil.Process(demo.pid).children(recursive=True)
    assert len(found) >= 12  # the team, the gateway, three sidecars, a worker of each, three services
    return found


def test_a_demo_with_an_end(folder: Path) -> None:
    """`--for` ends the demo by itself: with 0, traffic, no failed request, both versions' shares, all calls encrypted,
    and nothing left."""
    done = subprocess.run(command("demo", "--for", "4s"), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    found = re.match(r"(\d+) requests, 0 failed; orders v1 \d+%.*everything is stopped", last)
    assert found, last
    assert int(found[1]) > 10
    figures = re.findall(r"(\d+) of (\d+) calls over mutual TLS", done.stdout)
    assert figures
    assert all(mutual == calls for mutual, calls in figures)
    assert int(figures[-1][0]) > 10
    (home,) = re.findall(r"export MESHCTL_HOME=(\S+)", done.stderr)
    assert not Path(home).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_in_order(demo: Demo, number: signal.Signals, folder: Path) -> None:
    """Ctrl-C ends the demo with 0, no request failed, and no process left; so does SIGTERM."""
    first_figures(demo)
    processes = family(demo)
    demo.send_signal(number)
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, out + err
    assert "0 failed" in out.splitlines()[-1]
    assert psutil.wait_procs(processes, timeout=60)[1] == []
    assert list(folder.glob("meshctl-demo-*")) == []


@pytest.mark.skipif("sys.platform != 'linux'", reason="only Linux tells a process that its parent died")
def test_kill_leaves_nothing(demo: Demo) -> None:
    """After kill -9 of the demo its services, its sidecars and its gateway end by themselves."""
    first_figures(demo)
    processes = family(demo)
    demo.kill()
    assert psutil.wait_procs(processes, timeout=60)[1] == []


def test_web_asks_orders_by_name(demo: Demo) -> None:
    """A request to web is answered with what orders told it, each knowing who called it; testers get v2."""
    first_figures(demo)
    assert demo.stderr is not None
    url = next(found[1] for line in demo.stderr if (found := re.search(r"curl (http://\S+)/ ", line)))
    answer = httpx.get(url, trust_env=False, timeout=30).json()
    assert (answer["service"], answer["caller"]) == ("web", "spiffe://demo.mesh/service/gateway")
    assert (answer["asked"]["service"], answer["asked"]["caller"]) == ("orders", "spiffe://demo.mesh/service/web")
    tester = httpx.get(f"{url}/v1/orders", headers={"x-beta": "yes"}, trust_env=False, timeout=30).json()
    assert (tester["version"], tester["orders"][0]["price"]) == ("v2", "€ 4.50")
