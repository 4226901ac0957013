"""What one contender is asked to be: address, upstream, how many routes, TLS or not. It knows no peer's syntax."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A self-signed certificate: the chain, its key, and both in one file (HAProxy reads that)."""

    certificate: Path
    key: Path
    bundle: Path


@dataclass(frozen=True, slots=True)
class Member:
    """A workload of the mesh for a program that is not ours: its identity, chain and key, and whom it trusts."""

    identity: str
    certificate: Path
    key: Path
    bundle: Path


@dataclass(frozen=True, slots=True)
class Mesh:
    """A home with an authority, and two of its members: `caller` is the client's sidecar, `callee` the app's."""

    home: Path
    caller: Member
    callee: Member


@dataclass(frozen=True, slots=True)
class Case:
    """One proxy to configure. `folder` is its own; everything it writes goes there."""

    folder: Path
    port: int
    upstream_port: int
    routes: int = 10
    workers: int = 1
    tls: TlsFiles | None = None
    policies: bool = False
    """Whether everything that keeps services alive is on: see `gateway`."""
    spans_port: int = 0
    """Where the spans of one request in a hundred go; 0 is nowhere."""
    log_folders: tuple[Path, ...] = ()
    """Where else it logs to."""

    @property
    def access_log(self) -> Path:
        """Where the JSON access log goes."""
        return self.folder / "access.log"

    @property
    def output(self) -> Path:
        """Where what the proxy prints goes: a log as well, for one that cannot write files."""
        return self.folder / "output"

    @property
    def logs(self) -> list[Path]:
        """Every file that something was logged to or printed into."""
        logs = [path for folder in (self.folder, *self.log_folders) for path in folder.glob("*.log")]
        return [*logs, *self.folder.glob("output*")]

    @property
    def url(self) -> str:
        """The address a client uses."""
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"


def prefix(number: int) -> str:
    """The path prefix of route `number`: `/api/v1/service-00042`."""
    return f"/api/v1/service-{number:05d}"


def free_port() -> int:
    """A port nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
