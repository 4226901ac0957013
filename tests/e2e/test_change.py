"""Changes under load: no request fails, none sees two configurations, and what is not touched goes on."""

from __future__ import annotations

import json
import ssl
import statistics
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from meshctl.config import files
from meshctl.control import apply as door
from meshctl.store.sqlite import SqliteStore

from .certificates import issue
from .conftest import StartGateway
from .gateway import meshctl_process
from .load import Answer, Load, is_200
from .servers import Upstreams
from .waiting import until


def mesh_of(number: int, upstreams: Upstreams, folder: Path) -> str:
    """A configuration that differs from its neighbours in routes, weights, endpoints, listeners and edits."""
    a, b, c = (upstreams.address(name) for name in "abc")
    tls = f"{{ certificate = '{folder}/certificate.pem', key = '{folder}/key.pem' }}"
    listen = ["'127.0.0.1:0'", f"{{ address = '127.0.0.1:0', tls = {tls} }}", *["'127.0.0.1:0'"] * (number % 3)]
    more = "".join(f"[[routes]]\npath = '/more/{each}'\nrespond = {{}}\n" for each in range(number % 5))
    return f"""
[gateway]
listen = [{", ".join(listen)}]
timeouts.idle = "{60 + number}s"
[[routes]]
name = "all"
service = "s"
request_headers.set = {{ x-revision = "{number}" }}
response_headers.set = {{ x-revision = "{number}" }}
[[routes]]
path = "/ws"
service = "untouched"
{more}
[services.s]
balance = "{("round_robin", "least_load", "random")[number % 3]}"
[services.s.versions.v1]
endpoints = {json.dumps([a] if number % 2 else [a, b])}
weight = {number % 4}
[services.s.versions.v2]
endpoints = {json.dumps([c] if number % 5 else [b])}
weight = {1 + number % 3}
[services.untouched]
endpoints = ["{c}"]
"""


def is_one_configuration(answer: Answer) -> str:
    """What the service was told and what the client is told come from one revision."""
    wrong = is_200(answer)
    if wrong:
        return wrong
    told = json.loads(answer[2])["headers"].get("x-revision")
    return (
        "" if told and told == answer[1].get("x-revision") else f"told {told}, answered {answer[1].get('x-revision')}"
    )


def anybody() -> ssl.SSLContext:
    """A client's context that believes every certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture
def file(upstreams: Upstreams, tmp_path: Path) -> Path:
    """A mesh.toml with what `mesh_of` has for 0, and the certificate it names."""
    issue(tmp_path, serial=1)
    path = tmp_path / "mesh.toml"
    path.write_text(mesh_of(0, upstreams, tmp_path))
    return path


@pytest.mark.parametrize(("workers", "changes"), [(1, 50), (2, 15)])
def test_nothing_fails_while_everything_changes(
    upstreams: Upstreams, start_gateway: StartGateway, file: Path, workers: int, changes: int
) -> None:
    """While fifty applies and reloads change routes, weights, endpoints, listeners and certificates, no request fails
    on connections kept or new, in the clear or over TLS, each sees one configuration, and a WebSocket of an untouched
    service lives on."""
    gateway = start_gateway("-c", file, "--workers", workers, listen="")
    plain, secure = gateway.urls
    with (
        Load(plain, kept=5, fresh=2, judge=is_one_configuration) as load,
        Load(secure, kept=1, fresh=1, judge=is_one_configuration, tls=anybody()) as over_tls,
        connect(f"{plain.replace('http', 'ws')}/ws", open_timeout=30, proxy=None) as socket,
    ):
        for number in range(1, changes + 1):
            file.write_text(mesh_of(number, upstreams, file.parent))
            if number % 10 == 0:
                issue(file.parent, serial=number)
            command = ("apply", "-c", file) if number % 2 else ("gateway", "reload")
            changed = gateway.meshctl(*command)
            assert changed.status == 0, changed.err
            load.more(5)
            socket.send(str(number))
            assert socket.recv(timeout=30) == f"c: {number}"
        over_tls.more(5)
    assert load.failures == []
    assert over_tls.failures == []
    assert {"a", "b", "c"} <= load.served.keys()
    assert gateway.status()["revision"] == changes + 1


def test_a_change_is_live_at_once(upstreams: Upstreams, start_gateway: StartGateway, file: Path) -> None:
    """What was committed to the store is what requests meet, within seconds on any machine; and as soon as `apply`
    returns."""
    gateway = start_gateway("-c", file, listen="")
    delays = []
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        for number in range(1, 12):
            file.write_text(mesh_of(number, upstreams, file.parent))
            store = SqliteStore(gateway.home / "mesh.db")
            try:
                door.apply(store, files.load(file).mesh, source="test", who="test")
            finally:
                store.close()
            committed = time.monotonic()
            until(lambda: client.get("/").headers["x-revision"] == str(number), "the change", every=0.001)  # noqa: B023
            delays.append(time.monotonic() - committed)
        for number in range(12, 20):
            file.write_text(mesh_of(number, upstreams, file.parent))
            gateway.apply(file)
            assert client.get("/").headers["x-revision"] == str(number)
    print(f"live after {statistics.median(delays) * 1000:.0f} ms, at most {max(delays) * 1000:.0f} ms")
    assert statistics.median(delays) < 5.0


def serial_of(url: str) -> int:
    """The serial number of the certificate that a new handshake gets."""
    from cryptography import x509

    host, _, port = url.removeprefix("https://").partition(":")
    return x509.load_pem_x509_certificate(ssl.get_server_certificate((host, int(port))).encode()).serial_number


def test_certificates_are_reloaded_when_their_files_change(
    start_gateway: StartGateway, file: Path, http: httpx.Client
) -> None:
    """A renewed certificate serves new handshakes without any command; one that does not load leaves the old one."""
    gateway = start_gateway("-c", file, listen="")
    assert serial_of(gateway.urls[1]) == 1
    issue(file.parent, serial=77)
    until(lambda: serial_of(gateway.urls[1]) == 77, "the new certificate")
    (file.parent / "key.pem").write_text("no key")
    assert "key.pem" in gateway.until_told("certificate_refused")
    assert serial_of(gateway.urls[1]) == 77


def test_a_refused_revision_touches_nothing(
    upstreams: Upstreams, start_gateway: StartGateway, file: Path, http: httpx.Client
) -> None:
    """A revision whose certificate has gone is refused with the reason, the command ends with 1, traffic stays on the
    last good one, `status` tells; and with the file back the same command succeeds."""
    gateway = start_gateway("-c", file, listen="")
    gateway.forgiven = {"revision_refused"}
    without_tls = mesh_of(1, upstreams, file.parent).replace(", tls = ", " } #")
    file.write_text(without_tls.replace("listen = [", "listen = ['127.0.0.1:0'] #"))
    gateway.apply(file)
    key = (file.parent / "key.pem").read_bytes()
    (file.parent / "key.pem").unlink()
    refused = gateway.meshctl("config", "rollback")
    assert refused.status == 1
    assert "gateway  refused" in refused.err
    assert "key.pem" in refused.err
    assert http.get(gateway.url).headers["x-revision"] == "1"
    view = gateway.status()
    assert (view["revision"], view["latest"]) == (2, 3)
    assert "key.pem" in view["refusal"]
    assert len(view["listeners"]) == 1

    (file.parent / "key.pem").write_bytes(key)
    accepted = gateway.meshctl("config", "rollback", "1")
    assert accepted.status == 0, accepted.err
    assert http.get(gateway.url).headers["x-revision"] == "0"
    view = gateway.status()
    assert (view["revision"], view["refusal"], len(view["listeners"])) == (view["latest"], "", 2)


def test_a_taken_port_refuses_the_revision(
    upstreams: Upstreams, start_gateway: StartGateway, file: Path, http: httpx.Client
) -> None:
    """A revision that listens on somebody else's port is refused, naming who holds it; the old listeners go on."""
    gateway = start_gateway("-c", file, listen="")
    gateway.forgiven = {"revision_refused"}
    file.write_text(mesh_of(1, upstreams, file.parent).replace("'127.0.0.1:0'", f"'{upstreams.address('b')}'", 1))
    refused = gateway.apply(file, status=1)
    assert f"{upstreams.address('b')} is taken by" in refused.err
    assert f"process {upstreams.process.pid}" in refused.err
    assert http.get(gateway.url).headers["x-revision"] == "0"


def test_what_is_read_at_the_start(upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path) -> None:
    """Where the admin API is, and how many workers there are, changes when the gateway is started again: `apply` and
    both kinds of `status` say so, and `doctor` judges the address that is open. Nothing waits for it where the command
    line says something else anyway."""
    file = tmp_path / "mesh.toml"
    text = f"""
[gateway]
listen = ["127.0.0.1:0"]
admin = "HOST:0"
workers = COUNT
[[routes]]
path = "/"
service = "s"
[services.s]
endpoints = ["{upstreams.address("a")}"]
"""
    opened, closed = (
        text.replace("HOST", host).replace("COUNT", count) for host, count in (("", "1"), ("127.0.0.1", "2"))
    )
    file.write_text(opened)
    gateway = start_gateway("-c", file, listen="")
    assert gateway.apply(file).err.count("warning") == 0
    file.write_text(closed)
    later = "gateway.admin and gateway.workers take effect when the gateway is started again"
    assert f"warning: {later}" in gateway.apply(file).err
    until(lambda: later in gateway.meshctl("gateway", "status").out, "gateway status to say so")
    view = gateway.status()
    assert view["pending"] == ["gateway.admin", "gateway.workers"]
    assert (view["admin_address"], len(view["workers"])) == (f":{view['admin'].rpartition(':')[2]}", 1)
    assert later in gateway.meshctl("status", "--timeout", "60s").out

    def judged() -> dict[str, dict[str, str]]:
        return {each["name"]: each for each in gateway.meshctl("doctor", "-o", "json").json()}

    until(lambda: judged()["started with"]["detail"] == later, "doctor to say so")
    admin = until(lambda: found if (found := judged()["admin"])["status"] == "warn" else None, "doctor to warn of it")
    assert view["admin_address"] in admin["detail"]

    assert gateway.end() == 0
    overruled = start_gateway("-c", file, "--admin", "127.0.0.1:0", "--workers", "1", listen="")
    file.write_text(opened)
    assert "warning" not in overruled.apply(file).err
    assert overruled.status()["pending"] == []


def test_a_log_that_cannot_be_opened(
    upstreams: Upstreams, start_gateway: StartGateway, file: Path, http: httpx.Client, tmp_path: Path
) -> None:
    """A revision whose access log cannot be opened is refused, and no gateway starts with it. Where its folder goes
    while it is served, traffic goes on."""
    folder = tmp_path / "logs"
    folder.mkdir()
    logged = file.read_text().replace("[gateway]", f"[gateway]\naccess_log = '{folder}/x.log'")
    file.write_text(logged)
    gateway = start_gateway("-c", file, listen="")
    gateway.forgiven = {"revision_refused"}
    (folder / "x.log").unlink()
    folder.rmdir()
    assert http.get(gateway.url).headers["x-revision"] == "0"
    file.write_text(logged.replace("[gateway]", "[gateway]\nlimits.header_count = 50"))
    gateway.apply(file)
    file.write_text(logged.replace("x.log", "y.log"))
    assert '/y.log" cannot be opened: No such file or directory' in gateway.apply(file, status=1).err
    assert http.get(gateway.url).headers["x-revision"] == "0"
    gateway.end()
    refused = gateway.meshctl("gateway", "up", "-c", file, "--detach")
    assert (refused.status, "cannot be opened" in refused.err) == (1, True)


def test_rollback_is_live(upstreams: Upstreams, start_gateway: StartGateway, file: Path, http: httpx.Client) -> None:
    """`config rollback` brings back what was served before, at once."""
    gateway = start_gateway("-c", file, listen="")
    file.write_text(mesh_of(1, upstreams, file.parent))
    gateway.apply(file)
    assert http.get(gateway.url).headers["x-revision"] == "1"
    assert gateway.meshctl("config", "rollback").status == 0
    assert http.get(gateway.url).headers["x-revision"] == "0"


def test_of_two_applies_one_wins(
    upstreams: Upstreams, start_gateway: StartGateway, file: Path, http: httpx.Client, tmp_path: Path
) -> None:
    """Two applies that expect the same revision: one is served, the other ends with 1 and names what changed."""
    gateway = start_gateway("-c", file, listen="")
    processes = []
    for number in (1, 2):
        mine = tmp_path / f"{number}.toml"
        mine.write_text(mesh_of(number, upstreams, file.parent))
        processes.append(
            meshctl_process(
                gateway.home, "apply", "-c", mine, "--expect", "1", "--timeout", "60s", stderr=subprocess.PIPE
            )
        )
    said = [process.communicate(timeout=100)[1].decode() for process in processes]
    statuses = [process.returncode for process in processes]
    assert sorted(statuses) == [0, 1], said
    assert http.get(gateway.url).headers["x-revision"] == str(1 + statuses.index(0))
    loser = said[statuses.index(1)]
    assert "revision 1 is no longer current" in loser
    assert "what changed: " in loser


def test_a_listener_comes_and_goes(
    upstreams: Upstreams, start_gateway: StartGateway, file: Path, http: httpx.Client
) -> None:
    """A listener that a revision adds answers as soon as `apply` returns; one that it drops refuses new connections,
    while a connection that is open there is served on."""
    gateway = start_gateway("-c", file, listen="")
    file.write_text(mesh_of(1, upstreams, file.parent))
    gateway.apply(file)
    added = gateway.status()["listeners"][2]["url"]
    assert http.get(added).headers["x-revision"] == "1"
    file.write_text(mesh_of(3, upstreams, file.parent))
    gateway.apply(file)
    assert http.get(added).headers["x-revision"] == "3"
    with pytest.raises(httpx.ConnectError):
        httpx.get(added, trust_env=False, timeout=30)
