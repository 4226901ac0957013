"""One worker's place in a proxy: who fills it, how a child becomes the worker, and how it ended. Decides nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from typing import Final, NoReturn

from meshctl.control.signal_names import signal_name
from meshctl.observe.log import Events, configure
from meshctl.proxy.messages import Channel
from meshctl.proxy.meters import Meters

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
STEADY: Final = 10.0
"""Seconds after which a worker counts as well started, and its next crash as the first."""


class Slot:
    """One worker's place: who fills it now, and how often it had to be filled."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.pid = 0
        self.channel: Channel | None = None
        self.born = 0.0
        self.restarts = 0
        self.crashes = 0
        self.state = "starting"
        self.prepared: asyncio.Future[str] | None = None
        self.revision = 0
        """What it serves or, while it is starting, what it was last told to."""

    def crash(self, now: float) -> float:
        """Its worker ended unasked; the seconds until it should be started again: none after the first time."""
        self.crashes = 0 if now - self.born > STEADY else self.crashes + 1
        self.restarts += 1
        self.state = "restarting"
        return 0.0 if self.crashes <= 1 else min(FIRST_PAUSE * 2.0 ** (self.crashes - 2), LONGEST_PAUSE)

    def __repr__(self) -> str:
        return f"<Slot {self.index} process {self.pid} {self.state}, {self.restarts} restarts>"


def be_worker(end: socket.socket, index: int, count: int, meters: Meters) -> NoReturn:
    """Be worker `index` of `count` in a forked child, which never comes back.

    The supervisor's sockets, database and locks are closed by number and not by object: the objects belong to a process
    that goes on using them, and end with this one without any of their clean-up (`os._exit`)."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        handle = end.fileno()
        os.closerange(3, handle)
        os.closerange(handle + 1, os.sysconf("SC_OPEN_MAX"))
        # The log's handler had a descriptor of its own, which is closed now: it is forgotten rather than closed again.
        logging.getLogger().handlers.clear()
        configure()
        from meshctl.proxy.worker import run

        status = run(end, index, count, meters)
    except BaseException as error:
        Events("worker").error("worker_failed", error=error)
        logging.shutdown()
    finally:
        os._exit(status)


def reap(pid: int) -> int:
    """The status of a worker that has closed its channel, which it does by ending and not before."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0


def why(status: int) -> str:
    """How a process ended, in words."""
    if os.WIFSIGNALED(status):
        return f"signal {signal_name(os.WTERMSIG(status))}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"
