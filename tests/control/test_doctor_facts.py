"""Checks that read the machine and the home: on real files and directories, and on a made-up /proc."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meshctl import clock
from meshctl.control import apply as door
from meshctl.control.checks import clocks, configured, directory, environment, limits, listening, stored
from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown
from meshctl.control.revisions import CURRENT
from meshctl.model.auth import Auth, Basic, Introspection
from meshctl.model.mesh import Gateway, Listener, Mesh
from meshctl.model.route import Respond, Route
from meshctl.store.home import Home, write_private
from meshctl.store.protocol import Audit, Put
from meshctl.store.sqlite import SqliteStore

Look = Callable[..., Facts]


@pytest.fixture
def look(home: Home, tmp_path: Path) -> Iterator[Look]:
    """Facts of the home, with `environ` and a made-up system."""
    made: list[Facts] = []

    def facts(**environ: str) -> Facts:
        made.append(Facts(home.path, folder=tmp_path, environ=environ, system=tmp_path / "system"))
        return made[-1]

    yield facts
    for each in made:
        each.close()


def system(tmp_path: Path, path: str, text: str) -> None:
    """Have the made-up system say something."""
    file = tmp_path / "system" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def chmod(mode: str, path: Path) -> None:
    """Change a mode as a user would."""
    subprocess.run(["chmod", mode, path], check=True)


@pytest.mark.parametrize(
    ("path", "text", "check", "status"),
    [
        ("proc/sys/net/core/somaxconn", "128\n", limits.queue, "warn"),
        ("proc/sys/net/core/somaxconn", "4096\n", limits.queue, "pass"),
        ("proc/sys/net/ipv4/ip_local_port_range", "60000\t60999\n", limits.local_ports, "warn"),
        ("proc/sys/net/ipv4/tcp_tw_reuse", "0\n", limits.reuse, "warn"),
        ("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 9 kB\nMemAvailable: 10 kB\n", limits.memory, "warn"),
        ("proc/sys/kernel/osrelease", "5.15-microsoft-standard-WSL2\n", environment.system, "pass"),
    ],
)
def test_the_kernel_is_read(
    path: str, text: str, check: Callable[[Facts], Finding], status: str, look: Look, tmp_path: Path
) -> None:
    """What the kernel's files say is what is judged."""
    system(tmp_path, path, text)
    assert check(look()).status == status


@pytest.mark.parametrize("check", [limits.queue, limits.local_ports, limits.reuse, limits.memory, limits.tracked])
def test_a_kernel_that_does_not_tell(check: Callable[[Facts], Finding], look: Look) -> None:
    """Where the system has no such file there is nothing to judge."""
    with pytest.raises(Unknown) as caught:
        check(look())
    assert caught.value.finding.status == "pass"


@pytest.mark.parametrize(("kind", "status"), [("ext4", "pass"), ("nfs4", "warn"), ("9p", "warn")])
def test_the_disk_of_the_home(kind: str, status: str, look: Look, tmp_path: Path) -> None:
    """The file system that counts is the innermost that the home lies on; blanks in mount points are understood."""
    mounts = f"/dev/a / ext4 rw 0 0\nhost:/x {str(tmp_path).replace(' ', chr(92) + '040')} {kind} rw 0 0\nx /tmpx zfs 0"
    system(tmp_path, "proc/self/mounts", mounts)
    assert directory.disk(look()).status == status


def test_modes(home: Home, look: Look) -> None:
    """The home, its keys, sockets and database are each found open to others, with the command that closes them."""
    SqliteStore(home.database).close()
    (home.path / "pki").mkdir(mode=0o700)
    write_private(home.path / "pki" / "root-1.key", b"x")
    checks = (directory.mode, directory.keys, directory.sockets, stored.private)
    assert [check(look()).status for check in checks] == ["pass"] * 4
    for mode, path in (("0711", home.path), ("0640", home.path / "pki/root-1.key"), ("0755", home.run),
                       ("0604", home.database)):  # fmt: skip
        chmod(mode, path)
    assert [check(look()).status for check in checks] == ["fail"] * 4
    assert directory.mode(look()).hint == f"chmod 700 {home.path}"
    assert stored.private(look()).hint == f"chmod 600 {home.database}"


def test_two_homes(home: Home, look: Look, tmp_path: Path) -> None:
    """Who means one home while another lies beside the nearest mesh.toml is told so."""
    assert directory.place(look()).status == "pass"
    (tmp_path / "mesh.toml").write_text("")
    (tmp_path / ".meshctl").mkdir()
    (tmp_path / ".meshctl" / "mesh.db").write_bytes(b"")
    assert directory.place(look()).status == "warn"


def test_what_killed_proxies_leave(home: Home, store: SqliteStore, look: Look) -> None:
    """A socket of nobody that runs is found, and which."""
    assert directory.leftovers(look()).status == "pass"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home.run / "gone.sock"))
    found = directory.leftovers(look())
    assert (found.status, "gone.sock" in found.detail) == ("warn", True)


def test_logs_without_end(home: Home, store: SqliteStore, look: Look) -> None:
    """A log of more than a gibibyte is told of (the file is sparse: it takes no room)."""
    log = home.logs / "gateway.log"
    log.write_text("x")
    assert directory.logs(look()).status == "pass"
    os.truncate(log, 2 << 30)
    assert directory.logs(look()).status == "warn"


@pytest.mark.parametrize("key", ["proxies/x", "acks/x", "endpoints/s/p", "traffic/weights/s", "pki/bundle", CURRENT])
def test_records_that_nobody_understands(key: str, store: SqliteStore, look: Look) -> None:
    """A record of any kind that cannot be decoded is found, and everything else is still read."""
    assert stored.contents(look()).status == "pass"
    store.transact([Put(key, b"nonsense")])
    found = stored.contents(look())
    assert (found.status, key in found.detail) == ("fail", True)


def test_a_clock_that_went_back(store: SqliteStore, look: Look) -> None:
    """Records from the future tell that the clock was set back."""
    store.transact([Put("a", b"")], audit=Audit("w", clock.wall(), "now"))
    assert clocks.forward(look()).status == "pass"
    store.transact([Put("a", b"")], audit=Audit("w", clock.wall() + 3600, "later"))
    assert clocks.forward(look()).status == "fail"


def test_the_file_and_what_is_applied(store: SqliteStore, look: Look, tmp_path: Path) -> None:
    """A file that differs from the applied revision is told with the command; one that was applied is not; one that is
    gone is missed."""
    file = tmp_path / "mesh.toml"
    file.write_text('[[routes]]\nname = "a"\nrespond = { body = "a" }\n')
    applied = look().loaded().mesh
    door.apply(store, applied, source=str(file), who="w")
    assert (configured.applied(look()).status, configured.file(look()).status) == ("pass", "pass")
    file.write_text('[[routes]]\nname = "b"\nrespond = { body = "a" }\n')
    found = configured.applied(look())
    assert (found.status, f"meshctl apply -c {file}" in found.hint) == ("warn", True)
    file.write_text("[[routes")
    with pytest.raises(Unknown) as caught:
        configured.applied(look())
    assert caught.value.finding.status == "warn"
    file.unlink()
    assert configured.file(look()).status == "warn"


def test_files_that_callers_are_known_by(store: SqliteStore, look: Look, tmp_path: Path) -> None:
    """A file of password hashes that everybody may read is told of, one that is missing fails."""
    users = tmp_path / "users"
    write_private(users, b"alice:x\n")
    mesh = Mesh(routes=(_route(),), auth=(Auth("staff", basic=Basic(str(users))),))
    door.apply(store, mesh, source="/f", who="w")
    assert configured.credentials(look()).status == "pass"
    chmod("0644", users)
    assert configured.credentials(look()).hint == f"chmod 600 {users}"
    users.unlink()
    assert (configured.credentials(look()).status, configured.credentials(look()).detail[-10:]) == (
        "fail",
        "is missing",
    )


def test_secrets_by_which_servers_know_the_gateway(store: SqliteStore, look: Look, tmp_path: Path) -> None:
    """A secret that everybody may read is told of."""
    secret = tmp_path / "secret"
    write_private(secret, b"s3cret\n")
    asked = Introspection("https://id/x", "gateway", str(secret))
    door.apply(store, Mesh(routes=(_route(),), auth=(Auth("a", introspection=asked),)), source="/f", who="w")
    assert configured.credentials(look()).status == "pass"
    chmod("0644", secret)
    assert configured.credentials(look()).hint == f"chmod 600 {secret}"


def test_a_port_that_somebody_else_has(store: SqliteStore, look: Look) -> None:
    """While no gateway runs, a port of its listeners that is taken is named with whose it is."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        mesh = Mesh(gateway=Gateway((Listener("127.0.0.1", other.getsockname()[1]),)), routes=(_route(),))
        door.apply(store, mesh, source="/f", who="w")
        found = listening.ports(look())
        assert (found.status, f"process {os.getpid()}" in found.detail) == ("warn", True)
    assert listening.ports(look()).status == "pass"


def test_completions_are_found(look: Look, tmp_path: Path) -> None:
    """A shell whose start-up file loads them, or that has the file in its folder, has completions."""
    assert (
        environment.completions(look(HOME=str(tmp_path), SHELL="/bin/zsh")).hint == "source <(meshctl completions zsh)"
    )
    (tmp_path / ".bashrc").write_text("source <(meshctl completions bash)\n")
    assert environment.completions(look(HOME=str(tmp_path))).detail == f"installed: {tmp_path / '.bashrc'}"


def test_which_command_this_is(look: Look, tmp_path: Path) -> None:
    """Another environment's meshctl first on PATH is told of; none at all, too."""
    assert "not on PATH" in environment.command(look(PATH=str(tmp_path))).detail
    script = tmp_path / "meshctl"
    script.write_text("#!/opt/other/bin/python3\n")
    chmod("0755", script)
    assert "of /opt/other/bin/python3" in environment.command(look(PATH=str(tmp_path))).detail


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    """Looking at a home that is not there leaves it so."""
    facts = Facts(tmp_path / "none", folder=tmp_path, environ={})
    for read in (facts.store, facts.living, facts.mesh, facts.views, facts.services, facts.examined):
        with pytest.raises(Unknown):
            read()
    facts.close()
    assert list(tmp_path.iterdir()) == []


def _route() -> Route:
    return Route("a", respond=Respond())
