"""One member of a team: the gateway, or the wrapped command of one version of a service, and the process it lives in.

    waiting ─start─▶ starting ─▶ ready ─▶ ended        starting ─▶ late: it runs, and takes no requests

Knows its process: its word, its output, its end. When it is started and ended, and what follows, is the team's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from meshctl import clock
from meshctl.control import handover
from meshctl.errors import MeshError
from meshctl.model.views import ProxyView
from meshctl.sidecar.restart import Restarts
from meshctl.sidecar.team_output import Output, Source
from meshctl.sidecar.team_plan import Seat

State = Literal["waiting", "starting", "ready", "late", "restarting", "ended"]
_BY_SIGNAL: Final = 128
_HURRY_EVERY: Final = 0.05
"""Seconds between two of an impatient user's signals: a wrapper asks its app again, and kills it at the fourth."""
_HURRIES: Final = 40
"""How many of them a process gets before it is killed itself."""


Launch = Callable[..., tuple[subprocess.Popen[bytes], int]]
"""Starts a seat's process, writing to `stdout` and `stderr`; as `handover.launch`. Raises MeshError."""


class Member:
    """See the module. `on_changed` is called when it has told its word."""

    def __init__(self, seat: Seat, launch: Launch, output: Output) -> None:
        self.seat = seat
        self.name = seat.name
        self.on_changed: Callable[[], None] = lambda: None
        self.state: State = "waiting"
        self.view: ProxyView | None = None
        """What its process said when its proxy was ready."""
        self.failure: MeshError | None = None
        """Why it could not begin."""
        self.code: int | None = None
        """How its last run ended, as a shell tells it."""
        self.since = 0.0
        """When its program was first started, its process being ready for it, by the monotonic clock; 0 before."""
        self.restarts = Restarts(seat.restart)
        self._launch = launch
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._sources: tuple[Source, ...] = ()
        self._word: _Word | None = None
        self._asked = 0

    def __repr__(self) -> str:
        return f"<Member {self.name} {self.state}, process {self.pid}>"

    @property
    def pid(self) -> int:
        """Its process, 0 before the first."""
        return self._process.pid if self._process else 0

    @property
    def is_running(self) -> bool:
        """Whether its process is there; a member between two runs has none."""
        return self.state in ("starting", "ready", "late")

    @property
    def was_killed(self) -> bool:
        """Whether its process was ended by a signal, which none of ours does when it is asked to end."""
        return self._process is not None and (self._process.returncode or 0) < 0

    @property
    def ran(self) -> float:
        """Seconds since its last start."""
        return clock.monotonic() - self._began

    def start(self) -> None:
        """Start its process. Raises MeshError."""
        self._began = clock.monotonic()
        self.view = self.failure = self.code = None
        out, their_out = os.pipe()
        err, their_err = os.pipe()
        try:
            self._process, listen = self._launch(stdout=their_out, stderr=their_err)
        except BaseException:
            os.close(out)
            os.close(err)
            raise
        finally:
            os.close(their_out)
            os.close(their_err)
        self.state = "starting"
        self._word = _Word(listen, self._on_word)
        self._sources = (self._output.attach(self.name, "out", out), self._output.attach(self.name, "error", err))

    def fail(self, error: MeshError) -> None:
        """It could not even be started."""
        self.failure = error
        self.code = error.exit_status
        self.state = "ended"

    def ask(self) -> None:
        """Ask it to end, in order."""
        if self._process is not None and not self._asked:
            self._asked = 1
            self._process.send_signal(signal.SIGTERM)

    def hurry(self) -> None:
        """End it now: ask again and again, as an impatient user would, and kill it in the end."""
        if self._process is None or self._process.poll() is not None:
            return
        self._asked += 1
        self._process.send_signal(signal.SIGTERM if self._asked < _HURRIES else signal.SIGKILL)
        asyncio.get_running_loop().call_later(_HURRY_EVERY, self.hurry)

    def reap(self) -> bool:
        """Whether its process has ended since the last time; `code` says how."""
        if self._process is None or not self.is_running or (code := self._process.poll()) is None:
            return False
        if self._word is not None:
            self._word.read()
        for source in self._sources:
            source.finish()
        self.code = _BY_SIGNAL - code if code < 0 else code
        self.state = "ended"
        return True

    def _on_word(self, said: bytes) -> None:
        self._word = None
        word = handover.word(said)
        if isinstance(word, handover.Ready):
            self.view = msgspec.json.decode(word.view, type=ProxyView)
            self.since = self.since or clock.monotonic()
        elif word is not None:
            self.failure = word.error
        self.on_changed()


class _Word:
    """The pipe that a process tells its word into; `on_said` gets the whole of it, or b"" where none came."""

    def __init__(self, fd: int, on_said: Callable[[bytes], None]) -> None:
        self._fd = fd
        self._on_said = on_said
        self._said = b""
        self._is_open = True
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self.read)

    def read(self) -> None:
        """Take what is there."""
        while self._is_open:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return
            self._said += data
            if not data or data.endswith(b"\n"):
                # Closed at once: a process that failed waits for that.
                self._is_open = False
                asyncio.get_running_loop().remove_reader(self._fd)
                os.close(self._fd)
                self._on_said(self._said)
