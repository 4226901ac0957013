"""A data plane by itself: one worker in a process of its own, given its configuration as a supervisor would."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from meshctl.model.mesh import AccessLog, Gateway, Mesh, encode
from meshctl.model.registration import Listed, Registration
from meshctl.model.steering import Steering
from meshctl.observe.sample import Sample, SeriesSample, decode
from meshctl.proxy.messages import (
    Answer,
    Ask,
    Channel,
    Commit,
    Drain,
    Identify,
    ListenerSpec,
    Message,
    Notice,
    Prepare,
    Prepared,
    Wanted,
)
from tests.conformance.wire import Wire, connect

LONGEST: Final = 60.0
"""Seconds that anything is waited for: only what never comes takes them, on however slow a machine."""
_PROGRAM: Final = """
import socket, sys
from meshctl.proxy.worker import run
sys.exit(run(socket.socket(fileno=int(sys.argv[1])), 0, 1))
"""


class LoneProxy:
    """A worker that serves `mesh` on a loopback port for each of `entries`; a port is found by its entry. What the
    mesh's CA does for a listener (`Listener.mesh`) stands behind a slash: "inbound/strict"."""

    def __init__(
        self, folder: Path, mesh: Mesh, *entries: str, identity: Identify | None = None, is_strict: bool = True
    ) -> None:
        self.notices: list[Notice] = []
        self.redact = False
        self._log = folder / "access.log"
        self.mesh = mesh
        self._number = 0
        self._asked = 0
        self._messages: list[Message] = []
        ours, theirs = socket.socketpair()
        with theirs:
            environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
            # Where it counts how much it takes, Python must not look at everything twice.
            strictly = ["-W", "error", "-X", "dev"] if is_strict else ["-W", "error"]
            command = [sys.executable, *strictly, "-c", _PROGRAM, str(theirs.fileno())]
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=environ, cwd=folder, stderr=subprocess.PIPE, text=True
            )
        self._channel = Channel(ours)
        sockets = {entry: _bound() for entry in entries}
        self.ports = {entry: int(end.getsockname()[1]) for entry, end in sockets.items()}
        self._specs = tuple(_spec(entry, self.ports[entry]) for entry in entries)
        if identity is not None:
            self.tell(identity)
        self.apply(mesh, sockets=sockets)
        for end in sockets.values():
            end.close()

    def __repr__(self) -> str:
        return f"<LoneProxy {self.process.pid} on {self.ports}>"

    # what a supervisor does

    def apply(
        self,
        mesh: Mesh,
        *registrations: Registration,
        sockets: dict[str, socket.socket] | None = None,
        steering: Steering = Steering(),  # noqa: B008 - a frozen value
    ) -> None:
        """Have it serve `mesh`; its access log is this one's."""
        self._number += 1
        gateway = msgspec.structs.replace(mesh.gateway, access_log=AccessLog(str(self._log), redact=self.redact))
        content = encode(msgspec.structs.replace(mesh, gateway=gateway))
        opened = sockets or {}
        order = Prepare(
            self._number, self._number, content, self._specs, tuple(opened), _listed(registrations), steering=steering
        )
        self.tell(order, [end.fileno() for end in opened.values()])
        prepared = self._expect(Prepared)
        assert prepared == Prepared(self._number), prepared
        self.tell(Commit(self._number))
        self.ask("commit")

    def refusal(self, entry: str) -> str:
        """What it says of a revision with one listener more."""
        self._number += 1
        with _bound() as end:
            spec = _spec(entry, end.getsockname()[1])
            order = Prepare(self._number, self._number, encode(self.mesh), (*self._specs, spec), (spec.key,))
            self.tell(order, [end.fileno()])
            prepared = self._expect(Prepared)
        assert isinstance(prepared, Prepared)
        return prepared.refusal

    def keep(self, *entries: str) -> None:
        """From the next `apply` on, have it listen for these entries alone."""
        self._specs = tuple(spec for spec in self._specs if spec.key in entries)

    def limit_clients(self, most: int) -> None:
        """From the next `apply` on, have each listener let an address have so many connections."""
        self._specs = tuple(msgspec.structs.replace(spec, per_client=most) for spec in self._specs)

    def tell(self, message: Message, sockets: list[int] | None = None) -> None:
        """Give it an order."""
        if not self._channel.send(message, sockets):
            select.select([], [self._channel.socket], [], LONGEST)
            assert self._channel.flush()

    def ask(self, what: str) -> bytes:
        """Its answer to a question."""
        self._asked += 1
        self.tell(Ask(self._asked, what))
        answer = self._expect(Answer)
        assert isinstance(answer, Answer)
        return answer.payload

    def told(self, kind: type[Any]) -> Any:
        """The next message of this kind that it sends of its own accord."""
        return self._expect(kind)

    def forget(self) -> None:
        """Throw away what it has told so far that nobody asked for."""
        self.ask("commit")
        self._messages.clear()

    def wants(self) -> int:
        """How often it wanted keys to be looked for, as far as that has been read."""
        return sum(isinstance(each, Wanted) for each in self._messages)

    def _expect(self, kind: type[Any]) -> Any:
        while True:
            for message in self._messages:
                if isinstance(message, kind):
                    self._messages.remove(message)
                    return message
            ready, _, _ = select.select([self._channel.socket], [], [], LONGEST)
            assert ready, "the worker says nothing"
            for message in self._channel.receive():
                if isinstance(message, Notice):
                    self.notices.append(message)
                else:
                    self._messages.append(message)

    # what is seen of it

    def connect(self, entry: str = "outbound", *, receive: int = 0) -> Wire:
        """A client's connection to one of its listeners."""
        return connect(("127.0.0.1", self.ports[entry]), receive=receive)

    def url(self, entry: str = "outbound") -> str:
        """A listener's URL, as a proxy setting has it."""
        return f"http://127.0.0.1:{self.ports[entry]}"

    def sample(self) -> Sample:
        """What it counted."""
        return decode(self.ask("sample"))

    def refusals(self, reason: str, expected: int) -> int:
        """How often it refused for a reason before any request, once that is `expected`: a client may see its end
        before it is counted."""
        self.until(lambda: self.sample().refusals.get(reason, 0) >= expected)
        return self.sample().refusals.get(reason, 0)

    def series(self, route: str) -> SeriesSample:
        """What it counted for one route, in all versions; nothing where it has not counted any."""
        found = SeriesSample(route, "", "")
        for each in self.sample().series:
            if each.route == route:
                found = found.plus(each)
        return found

    def lines(self, count: int) -> list[dict[str, Any]]:
        """The access log, once it has `count` lines."""
        self.until(lambda: len(self._read()) >= count)
        return self._read()

    def recorded(self) -> int:
        """How many lines its access log has or will have for what has ended so far."""
        sample = self.sample()
        return sum(each.requests for each in sample.series) + sum(sample.refusals.values())

    def line(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line of the access log of which `holds` is true, once there is one."""
        self.until(lambda: any(map(holds, self._read())))
        return next(filter(holds, self._read()))

    def _read(self) -> list[dict[str, Any]]:
        text = self._log.read_text() if self._log.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    @staticmethod
    def until(holds: Callable[[], bool]) -> None:
        """Wait until `holds` is true."""
        for _ in range(int(LONGEST / 0.02)):
            if holds():
                return
            threading.Event().wait(0.02)
        raise AssertionError("what was waited for did not happen")

    # its end

    def drain(self, seconds: float) -> None:
        """Have it stop, with so much time for what is in flight."""
        self.tell(Drain(seconds))

    def end(self, seconds: float = 5.0) -> list[str]:
        """Stop it; what it complained of."""
        if self.process.poll() is None:
            self.drain(seconds)
        try:
            self.process.wait(timeout=seconds + LONGEST)
        finally:
            self.process.kill()
            self._channel.close()
        assert self.process.stderr
        with self.process.stderr:
            words = self.process.stderr.read().splitlines()
        # asyncio's debug mode tells of every step that took long, which on a busy machine means nothing.
        return [line for line in words if not line.startswith("Executing <")]


def mesh_of(*services: Any, routes: tuple[Any, ...], **settings: Any) -> Mesh:
    """A mesh as a sidecar would make it for itself."""
    return Mesh(name="shop", trust_domain="shop.mesh", gateway=Gateway(admin="off"), services=services, routes=routes,
                **settings)  # fmt: skip


def _listed(registrations: Sequence[Registration]) -> tuple[Listed, ...]:
    """The endpoints that are registered, by what they are registered for."""
    found: dict[tuple[str, str], list[Registration]] = {}
    for each in registrations:
        found.setdefault((each.service, each.version), []).append(each)
    return tuple(Listed(*name, tuple(each.endpoint for each in those)) for name, those in found.items())


def _spec(entry: str, port: int) -> ListenerSpec:
    serves, _, speaks = entry.partition("/")
    return ListenerSpec(entry, f"127.0.0.1:{port}", mesh=speaks, entry=serves)


def _bound() -> socket.socket:
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    end.bind(("127.0.0.1", 0))
    return end
