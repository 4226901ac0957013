"""`meshctl doctor` on meshes that are well, broken while they run, and broken where nothing runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from meshctl.control.authority_files import AuthorityFiles
from meshctl.control.discovery import announce, machine
from meshctl.control.trust_state import BUNDLE, Bundle, Root
from meshctl.model.registration import Registration
from meshctl.model.views import ProxyRecord
from meshctl.pki import authority as pki
from meshctl.pki import pem
from meshctl.store.home import open_home, write_private
from meshctl.store.protocol import Audit, Put
from meshctl.store.sqlite import SqliteStore

from .conftest import StartGateway
from .gateway import Ended, Gateway, meshctl
from .servers import Upstreams
from .waiting import until

YEAR = 365 * 86400.0

MESH = """
[mesh]
name = "shop"
[gateway]
listen = [{{ address = "127.0.0.1:{port}", tls = {{ certificate = "mesh" }} }}]
access_log = "{log}"
[[routes]]
name = "web"
path = "/"
service = "web"
[[routes]]
name = "dead"
path = "/dead"
service = "dead"
request_headers = {{ set = {{ authorization = "Bearer hunter2" }} }}
[services.web]
endpoints = ["{web}"]
[services.dead]
endpoints = ["{dead}"]
health = {{ path = "/healthz", interval = "100ms", timeout = "1s" }}
"""

Findings = dict[tuple[str, str], dict[str, str]]


def doctor(home: Path, *arguments: object, status: int | None = None) -> Findings:
    """`doctor -o json`, by group and name."""

    def judged() -> Ended | None:
        ended = meshctl(home, "doctor", "-o", "json", *arguments)
        # What has not been found out in time on a busy machine is looked at again.
        return None if any("no answer within" in each["detail"] for each in ended.json()) else ended

    ended = until(judged, "each check to be made in time")
    assert ended is not None
    found = ended.json()
    assert ended.status == int(any(each["status"] == "fail" for each in found))
    assert status in (None, ended.status), [each for each in found if each["status"] == "fail"]
    assert all(set(each) == {"group", "name", "status", "detail", "hint"} for each in found)
    assert "Traceback" not in ended.err
    assert not [each for each in found if "unexpected" in each["detail"]]
    return {(each["group"], each["name"]): each for each in found}


def answered(home: Path, *arguments: object) -> Findings:
    """What doctor says when all proxies have answered in time, which on a busy machine they may not at once."""

    def ask() -> Findings | None:
        found = doctor(home, *arguments)
        return found if found["proxies", "answering"]["status"] == "pass" else None

    found = until(ask, "all proxies to answer doctor in time", timeout=60)
    assert found is not None
    return found


def failures(found: Findings) -> set[tuple[str, str]]:
    """The checks that fail."""
    return {name for name, each in found.items() if each["status"] == "fail"}


@contextmanager
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, nor can anybody else meanwhile."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        yield other.getsockname()[1]


def written(folder: Path, upstreams: Upstreams, *, port: int = 0, dead: str = "") -> Path:
    """A mesh.toml; without `dead` both services live."""
    file = folder / "mesh.toml"
    web = upstreams.address("a")
    file.write_text(MESH.format(port=port, log=folder / "access.log", web=web, dead=dead or web))
    return file


def open_to_others(path: Path) -> None:
    """Let others read a file, as a careless copy does."""
    subprocess.run(["chmod", "0644", path], check=True)


def test_a_mesh_that_is_well(tmp_path: Path, upstreams: Upstreams, start_gateway: StartGateway) -> None:
    """Of a gateway with an identity and live endpoints no check fails; its bundle has everything but secrets, is
    private, and is named part by part."""
    file = written(tmp_path, upstreams)
    gateway = start_gateway("-c", file, listen="")
    assert httpx.get(f"{gateway.url}/x?card=hunter3", verify=False, trust_env=False, timeout=30).status_code == 200
    found = answered(gateway.home, "-c", file)
    assert failures(found) == set()
    assert len(found) >= 40
    assert found["proxies", "running"]["detail"] == "gateway"
    for name in ("current", "answering", "accepted"):
        assert found["proxies", name]["status"] == "pass"
    assert "until 20" in found["certificates", "intermediates"]["detail"]
    assert (
        "meshctl_intermediate_expiry_timestamp_seconds{root=" in httpx.get(f"{gateway.admin}/metrics", timeout=30).text
    )
    check_bundle(gateway, file, tmp_path / "report.tar.gz")


def check_bundle(gateway: Gateway, file: Path, path: Path) -> None:
    """The archive has its parts, no secret and no key; it is the user's alone and never replaces another."""
    ended = gateway.meshctl("doctor", "-c", file, "--bundle", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        parts = {each.name.partition("/")[2]: archive.extractfile(each) for each in archive.getmembers()}
        texts = {name: part.read().decode() for name, part in parts.items() if part is not None}
    assert set(texts) == {
        "versions.json", "doctor.json", "configuration.json", "status.json", "services.json", "metrics/gateway.txt",
        "logs/access.log",
    }  # fmt: skip
    assert all(name in ended.err for name in texts)
    whole = "\n".join(texts.values())
    assert "hunter" not in whole
    assert "PRIVATE KEY" not in whole
    assert json.loads(texts["configuration.json"])["mesh"]["services"]["dead"]["health"]["path"] == "/healthz"
    assert "meshctl_revision 1" in texts["metrics/gateway.txt"]
    assert json.loads(texts["logs/access.log"].splitlines()[0])["path"].startswith("/x?")
    again = gateway.meshctl("doctor", "--bundle", path)
    assert (again.status, "already there" in again.err) == (1, True)


def test_a_mesh_that_is_broken(
    tmp_path: Path, upstreams: Upstreams, start_gateway: StartGateway, closed_port: int
) -> None:
    """One run of doctor names each fault of a running mesh, and what to do about it: a dead endpoint, a root that ends
    soon, a key that others can read, a revoked certificate, a refused revision, a file that is not applied."""
    home = open_home(tmp_path / "home")
    put_authority(tmp_path / "home", age=10 * YEAR - 20 * 86400)
    gateway = start_gateway("-c", written(tmp_path, upstreams, dead=f"127.0.0.1:{closed_port}"), listen="")
    with taken() as port:
        gateway.apply(written(tmp_path, upstreams, port=port, dead=f"127.0.0.1:{closed_port}"), status=1)
    open_to_others(home.path / "pki" / "root-1.key")
    open_to_others(home.path / "pki" / "intermediate-1.key")
    # Nothing can be issued with such a key, so the gateway goes on with what it has.
    assert gateway.meshctl("certs", "revoke", "gateway").status == 0
    file = written(tmp_path, upstreams)
    until(lambda: gateway.service("dead")["endpoints"][0]["state"] == "unhealthy", "the endpoint to be found dead")
    found = answered(gateway.home, "-c", file)
    expected = {
        ("endpoints", "services"): ('no endpoint of "dead"', "meshctl services show dead"),
        ("endpoints", "healthy"): ("of dead default is unhealthy", "meshctl services show dead"),
        ("proxies", "accepted"): ("gateway has refused revision 2", "meshctl config rollback"),
        ("certificates", "roots"): ("root 1 expires on", "meshctl certs rotate --root"),
        ("home", "private keys"): ("root-1.key is open to other users (mode 0644)", "chmod 600"),
        ("certificates", "authority"): ("open to other users", "chmod 600"),
        ("certificates", "revoked"): ("gateway still presents a certificate that is revoked", "certs rotate gateway"),
        ("configuration", "applied"): ("between the file and revision 2", "meshctl apply"),
    }  # fmt: skip
    for name, (said, hint) in expected.items():
        assert found[name]["status"] != "pass", name
        assert (said in found[name]["detail"], hint in found[name]["hint"]) == (True, True), found[name]
    assert failures(found) == {("endpoints", "services"), ("proxies", "accepted"), ("home", "private keys"),
                               ("certificates", "authority"), ("certificates", "revoked")}  # fmt: skip
    gateway.forgiven |= {"revision_refused", "certificate_not_renewed"}


def test_a_proxy_that_hangs(tmp_path: Path, upstreams: Upstreams, start_gateway: StartGateway) -> None:
    """A proxy that does not answer is named with its process, in time, and everything else is still judged."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}")
    os.kill(gateway.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        found = doctor(gateway.home, status=1)
        assert time.monotonic() - start < 60
    finally:
        os.kill(gateway.pid, signal.SIGCONT)
    assert found["proxies", "answering"]["status"] == "fail"
    assert "did not answer" in found["proxies", "answering"]["detail"]
    assert str(gateway.pid) in found["proxies", "answering"]["hint"]
    assert found["store", "whole"]["status"] == "pass"


def test_a_home_without_proxies(tmp_path: Path) -> None:
    """Where nothing runs doctor still names what is wrong: an expired root, a file that does not decode, a home and a
    database that are open to others, a record of a killed proxy; it changes nothing."""
    home = tmp_path / "home"
    open_home(home)
    put_authority(home, age=11 * YEAR)
    file = tmp_path / "mesh.toml"
    file.write_text('[[routes]]\nname = "x"\nservice = "nowhere"\n[nonsense]\n')
    put_dead_sidecar(home)
    subprocess.run(["chmod", "0755", home], check=True)
    open_to_others(home / "mesh.db")
    before = sorted(path.name for path in home.rglob("*"))
    found = doctor(home, "-c", file, status=1)
    expected = {
        ("certificates", "roots"): ("root 1 expired on", "meshctl certs rotate --root"),
        ("certificates", "intermediates"): ("intermediate 1 expired on", "meshctl certs init"),
        ("configuration", "valid"): (f"{file}:", f"meshctl validate {file}"),
        ("home", "mode"): ("mode 0755", f"chmod 700 {home}"),
        ("store", "private"): ("mesh.db is open to other users (mode 0644)", f"chmod 600 {home / 'mesh.db'}"),
    }
    for name, (said, hint) in expected.items():
        assert found[name]["status"] == "fail", name
        assert (said in found[name]["detail"], hint in found[name]["hint"]) == (True, True), found[name]
    assert failures(found) == set(expected)
    assert "web-1 (process" in found["store", "dead proxies"]["detail"]
    assert "web v1 at 127.0.0.1:1" in found["store", "dead endpoints"]["detail"]
    assert sorted(path.name for path in home.rglob("*") if path.suffix not in (".db-wal", ".db-shm")) == [
        name for name in before if not name.endswith(("-wal", "-shm"))
    ]


def test_a_damaged_database(tmp_path: Path, upstreams: Upstreams) -> None:
    """A damaged database is named with what to do about it, whether its head or one of its pages is broken; checks that
    would need it say that they could not look, and none breaks."""
    home = tmp_path / "home"
    file = written(tmp_path, upstreams)
    open_home(home)
    assert meshctl(home, "apply", "-c", file).status == 0
    whole = (home / "mesh.db").read_bytes()
    for damaged in (b"\0" * 4096, whole[:4096] + os.urandom(len(whole) - 4096), whole[: len(whole) // 2], b""):
        for path in home.glob("mesh.db*"):
            path.unlink()
        write_private(home / "mesh.db", damaged)
        found = doctor(home, "-c", file, status=1)
        assert {group for group, _ in failures(found)} == {"store"}
        broken = [found["store", name] for name in ("opens", "whole") if found["store", name]["status"] == "fail"]
        assert broken
        assert ".recover" in broken[0]["hint"]


def put_authority(home: Path, *, age: float) -> None:
    """The files and the record of an authority of that age, as it would have left them."""
    now = time.time()
    with closing(SqliteStore(home / "mesh.db")) as store:
        files = AuthorityFiles(open_home(home))
        with files.locked():
            made = pki.make_root("old root", now=now - age)
            files.write_root(1, made, None)
            files.write_intermediate(1, pki.make_intermediate(made, "old", now=now - min(age, YEAR / 2)))
        text = pem.write_certificates([made.certificate]).decode()
        end = made.certificate.not_valid_after_utc.timestamp()
        root = Root(1, pem.fingerprint(made.certificate), text, end, now - age)
        store.transact([Put(BUNDLE, msgspec.json.encode(Bundle(1, (root,))))], audit=Audit("test", now, "put"))


def put_dead_sidecar(home: Path) -> None:
    """What a sidecar that was killed has left in the store."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    record = ProxyRecord("web-1", "sidecar", ended.pid, time.time(), "/none", machine=machine())
    with closing(SqliteStore(home / "mesh.db")) as store:
        lease = store.grant(600)
        store.transact([Put("proxies/web-1", msgspec.json.encode(record), lease)])
        announce(store, Registration("web", "v1", "127.0.0.1", 1, "web-1", ended.pid, machine(), 1.0), lease)


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="setpriv is not installed")
def test_without_permissions(tmp_path: Path) -> None:
    """A home that this user may not even look into is named as such, without a traceback, and the machine is judged."""
    closed = tmp_path / "closed"
    (closed / "home").mkdir(parents=True)
    subprocess.run(["chmod", "0000", closed], check=True)
    # Root may look everywhere, unless it gives that up.
    less = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path])), "HOME": "/"}
    words = [*less, sys.executable, "-m", "meshctl", "--home", str(closed / "home"), "doctor", "-o", "json"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, cwd="/", env=environ, timeout=60)
    finally:
        subprocess.run(["chmod", "0700", closed], check=True)
    assert (done.returncode, done.stderr) == (1, "")
    found = {(each["group"], each["name"]): each for each in json.loads(done.stdout)}
    assert found["home", "directory"]["status"] == "fail"
    assert "permission denied" in found["home", "directory"]["detail"]
    assert "unexpected" not in done.stdout
    assert found["environment", "data plane"]["status"] == "pass"
