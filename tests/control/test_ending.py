"""Ending a process: it is gone when it has ended, whoever waits for it, and not before."""

from __future__ import annotations

import subprocess
import sys

from meshctl import clock
from meshctl.control.ending import end

# Starts a process that ends when asked to, tells its id, and never waits for it: as a first process that is no init.
NEGLECTFUL = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"], stdout=-1)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
child.kill()
"""


def test_ended_though_nobody_waits_for_it() -> None:
    """A process that has ended is gone, though its parent has not looked, and at once; so is one that never was."""
    with subprocess.Popen([sys.executable, "-c", NEGLECTFUL], stdin=-1, stdout=-1, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        began = clock.monotonic()
        assert end(pid, 60)
        assert clock.monotonic() - began < 30
        assert end(pid, 60)
        parent.communicate("")


def test_one_that_does_not_listen() -> None:
    """A process that goes on is not gone when the time is up."""
    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert not end(child.pid, 0.3)
        child.kill()
    assert end(child.pid, 0.3)
