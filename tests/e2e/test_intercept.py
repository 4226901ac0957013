"""`sidecar wrap --intercept`: apps that know of no proxy, with the clients people have, in networks of their own."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from mysql_mimic import MysqlServer, Session

from meshctl.sidecar.ports import choose_port

from .enclosing import kept, network, skip_unless_allowed
from .gateway import is_alive, meshctl, meshctl_process
from .sidecar import Wrapped
from .somebody import folder, python, somebody, works
from .waiting import until

APP = Path(__file__).with_name("enclosed_app.py")
RENOUNCE = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
"""Has root be somebody who may make networks only in user namespaces of its own, as everybody may."""
_NONE = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" "$@"'
FORBID = ("unshare", "--user", "--map-root-user", "sh", "-c", _NONE)
"""Runs a program where nobody may make user namespaces."""
NO_NETWORKS = ("unshare", "--user", "--map-root-user", "sh", "-c", _NONE.replace("user_namespaces", "net_namespaces"))
"""The same for networks."""
NO_UNSHARE = (sys.executable, "-m", "tests.e2e.without_unshare")
_ARMOUR = "kernel/apparmor_restrict_unprivileged_userns"
_ARMOURED = f'mount -t tmpfs none /proc/sys/kernel && echo 1 > /proc/sys/{_ARMOUR} && exec "$0" "$@"'
ARMOURED = ("unshare", "--mount", "sh", "-c", _ARMOURED, *NO_UNSHARE)
"""Runs a program where a mere user's namespaces are without rights, by the setting of AppArmor."""
BARE = {"PATH": os.environ["PATH"]}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def _allowed() -> None:
    skip_unless_allowed()


@cache
def unprivileged() -> tuple[str, ...]:
    """What makes an app's network that of a mere user, where root runs the tests and could be one."""
    is_able = os.geteuid() == 0 and works(*RENOUNCE, "unshare", "--user", "--map-root-user", "--net", "true")
    return RENOUNCE if is_able else ()


class Agent(Wrapped):
    """A wrapped app that runs commands where it is."""

    def __init__(self, home: Path, folder: Path, service: str, *, before: tuple[str, ...] | None = None) -> None:
        # A path of a Unix socket is short.
        self._socket = Path(tempfile.mkdtemp()) / "s"
        words = ("--service", service, "--intercept")
        before = unprivileged() if before is None else before
        super().__init__(home, folder, words, (sys.executable, APP, self._socket), before=before)

    def kill(self) -> None:
        """See `Wrapped.kill`."""
        super().kill()
        shutil.rmtree(self._socket.parent, ignore_errors=True)

    def run(self, *argv: object) -> str:
        """What a command in the app's network writes; it must succeed."""
        code, out, err = self.ask(*argv)
        assert code == 0, (argv, out, err)
        return out

    def ask(self, *argv: object) -> tuple[int, str, str]:
        """How a command in the app's network ends."""
        with socket.socket(socket.AF_UNIX) as end:
            end.settimeout(60)
            end.connect(str(self._socket))
            end.sendall(json.dumps(["env", "-i", f"PATH={BARE['PATH']}", *map(str, argv)]).encode() + b"\n")
            code, out, err = json.loads(end.makefile().readline())
        return code, out, err

    def python(self, program: str, *words: object) -> str:
        """What a Python program writes there."""
        return self.run(sys.executable, "-c", program, *words)

    def until_ready(self) -> Agent:
        """Return when it takes requests and commands."""
        self.until_registered()
        until(self._socket.exists, "the app to listen")
        return self

    def lines(self) -> list[dict[str, Any]]:
        """The sidecar's access log."""
        found = next((self.home / "logs").glob(f"{self.id}.log"), None)
        # A line that is just being written may be seen in part.
        whole = "" if found is None else found.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]


class Greeter(socketserver.StreamRequestHandler):
    """A mail server as far as greeting: it speaks first."""

    def handle(self) -> None:
        self.wfile.write(b"220 mail ready\r\n")
        for line in self.rfile:
            word = line.split()[0].upper()
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


class Page(BaseHTTPRequestHandler):
    """A web server that tells which host was asked for."""

    def do_GET(self) -> None:
        body = json.dumps({"host": self.headers["host"], "path": self.path}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Greeters(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def serving(stack: ExitStack, server: Any) -> int:
    """Have a server serve; its port."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return int(server.server_address[1])


@pytest.fixture(scope="module")
def outside() -> str:
    """An address of this machine that is not loopback: what the mesh takes for a host outside."""
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family == socket.AF_INET and not ipaddress.ip_address(each.address).is_loopback:
                return each.address
    pytest.skip("this machine has no address but loopback's")


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Servers of this machine: their ports."""
    with ExitStack() as stack:
        yield {
            "web": serving(stack, ThreadingHTTPServer(("0.0.0.0", 0), Page)),
            "mail": serving(stack, Greeters(("0.0.0.0", 0), Greeter)),
        }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mesh of this module."""
    return tmp_path_factory.mktemp("mesh") / "home"


@pytest.fixture(scope="module")
def configure(home: Path, ports: dict[str, int]) -> Callable[..., None]:
    """Has the mesh be as usual but for some lines of [mesh]."""

    def apply(more: str = "") -> None:
        file = home.parent / "mesh.toml"
        file.write_text(f"""
            [mesh]
            name = "mesh"
            {more}
            [gateway]
            listen = ["127.0.0.1:0"]
            [services.mail]
            protocol = "tcp"
            endpoints = ["127.0.0.1:{ports["mail"]}"]
        """)
        ended = meshctl(home, "apply", "--config", file)
        assert ended.status == 0, ended.err

    return apply


@pytest.fixture(scope="module")
def app(home: Path, configure: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """The app that most tests run their clients in."""
    configure()
    made = Agent(home, tmp_path_factory.mktemp("app"), "app")
    try:
        yield made.until_ready()
        made.check()
    finally:
        made.kill()


@pytest.fixture(scope="module")
def orders(home: Path, app: Agent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """Another app in a network of its own, which is made by root where root makes it."""
    made = Agent(home, tmp_path_factory.mktemp("orders"), "orders", before=())
    try:
        yield made.until_ready()
        made.check()
    finally:
        made.kill()


def test_apps_meet_by_name_and_identity(app: Agent, orders: Agent) -> None:
    """Clients that were told of no proxy reach a service by any of its names on any port, over mutual TLS, and the
    callee learns who calls; the edge between them is seen."""
    until(lambda: app.ask("curl", "-sf", "http://orders/")[0] == 0, "the service to be reached")
    for url in ("http://orders/", "http://orders.mesh:8080/", "http://orders.mesh.mesh/"):
        told = json.loads(app.run("curl", "-sf", url))
        assert told["x-meshctl-identity"] == "spiffe://mesh.mesh/service/app", told
    raw = """
import socket
end = socket.create_connection(("orders", 80))
end.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
print(end.makefile().read())
"""
    assert "spiffe://mesh.mesh/service/app" in app.python(raw)

    def edges() -> set[tuple[str, str]]:
        found = meshctl(app.home, "edges", "-o", "json").json()["edges"]
        return {(each["from"], each["service"]) for each in found}

    until(lambda: ("app", "orders") in edges(), "the edge")


def test_node_needs_no_setting(app: Agent, orders: Agent) -> None:
    """Node's fetch reaches a service as it is."""
    if not shutil.which("node"):
        pytest.skip("there is no Node")
    program = "fetch('http://orders/').then(r => r.json()).then(j => console.log(j['x-meshctl-identity']))"
    assert app.run("node", "-e", program).strip() == "spiffe://mesh.mesh/service/app"


def test_a_server_that_speaks_first_is_heard(app: Agent, ports: dict[str, int], outside: str) -> None:
    """A mail client is greeted by a service of the mesh, by this machine and by a host outside, whatever the port."""
    program = (
        "import smtplib, sys; s = smtplib.SMTP(sys.argv[1], int(sys.argv[2]), 'me', 50);print(s.noop()[0], s.quit()[0])"
    )
    for host, port in (("mail", 25), ("mail", 4321), ("127.0.0.1", ports["mail"]), (outside, ports["mail"])):
        assert app.python(program, host, port).split() == ["250", "221"], host
    until(
        lambda: {"mail", "egress"} <= {line["service"] for line in app.lines() if line["method"] == "TCP"},
        "the lines of both",
    )


@pytest.fixture
def database() -> Iterator[int]:
    """A server that speaks MySQL's protocol, which it begins: its port."""
    server = MysqlServer(Rows)
    with asyncio.Runner() as runner:
        runner.run(server.start_server(host="127.0.0.1", port=0))
        loop, (listener,) = runner.get_loop(), server.sockets()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        yield listener.getsockname()[1]
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        runner.run(server.wait_closed())


class Rows(Session):
    """Answers every question with the same row."""

    async def query(self, *_: object) -> tuple[list[tuple[str]], list[str]]:
        return [("r" * 100_000,)], ["a"]


def test_mysql_works_as_it_is(app: Agent, database: int) -> None:
    """A client that waits to be greeted is, by a server on this machine."""
    program = """
import sys, pymysql
with pymysql.connect(host="localhost", port=int(sys.argv[1]), user="me", connect_timeout=30) as connection:
    with connection.cursor() as cursor:
        cursor.execute("select a from b")
        print(len(cursor.fetchone()[0]))
"""
    assert app.python(program, database).strip() == "100000"


@pytest.fixture
def port() -> Iterator[int]:
    """One that nobody else on this machine takes meanwhile."""
    chosen = choose_port()
    yield chosen.number
    chosen.release()


def test_redis_works_as_it_is(app: Agent, tmp_path: Path, port: int) -> None:
    """redis-cli and a server on this machine talk through it."""
    if not shutil.which("redis-server"):
        pytest.skip("there is no Redis")
    path = tmp_path / "redis.sock"
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(path), "--save", ""]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        until(path.exists, "Redis to listen")
        client = ("redis-cli", "-h", "localhost", "-p", port)
        assert app.run(*client, "set", "a", "b" * 100_000).strip() == "OK"
        assert len(app.run(*client, "get", "a").strip()) == 100_000
    finally:
        process.terminate()
        process.wait(60)


def test_what_is_outside_is_itself(app: Agent, ports: dict[str, int], outside: str) -> None:
    """A request to an address goes there, whichever host it says, and is counted; one to this machine's loopback meets
    what listens there, and an app meets itself."""
    page = app.run("curl", "-s", "-H", "Host: orders", f"http://{outside}:{ports['web']}/x")
    assert json.loads(page) == {"host": "orders", "path": "/x"}
    endpoint = f"{outside}:{ports['web']}"
    line = until(lambda: next((each for each in app.lines() if each["endpoint"] == endpoint), None), "the line")
    assert line["service"] == "egress"
    assert json.loads(app.run("curl", "-s", f"http://127.0.0.1:{ports['web']}/y"))["path"] == "/y"
    assert "user-agent" in json.loads(app.run("curl", "-s", f"http://127.0.0.1:{app.port}/"))


class SixServer(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def test_addresses_of_ipv6_are_caught_too(app: Agent) -> None:
    """A literal address of IPv6 leads to where it does otherwise; one that nobody has is refused by the proxy."""
    with ExitStack() as stack:
        try:
            server = SixServer(("::1", 0), Page)
        except OSError:
            pytest.skip("this machine has no IPv6")
        port = serving(stack, server)
        assert json.loads(app.run("curl", "-s", f"http://[::1]:{port}/z"))["path"] == "/z"
    nobody = app.run("curl", "-si", "--max-time", "30", "http://[2001:db8::1]/")
    assert "x-meshctl-reason: " in nobody.lower()
    until(lambda: any(line["host"] == "2001:db8::1" for line in app.lines()), "its line")


def test_names_outside_keep_their_meaning(app: Agent, ports: dict[str, int]) -> None:
    """A name that the machine's resolver knows leads to its host, by every server that is asked, over UDP and TCP; one
    that it does not know has no address."""
    program = """
import socket, struct, sys, urllib.request
def ask(name, kind, tcp):
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    query = struct.pack("!6H", 7, 256, 1, 0, 0, 0) + labels + b"\\0" + struct.pack("!2H", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as end:
        end.settimeout(50)
        end.connect(("192.0.2.53", 53))
        end.sendall(struct.pack("!H", len(query)) + query if tcp else query)
        said = end.recv(4096)
    said = said[2:] if tcp else said
    return said[3] & 15, said[-(4 if kind == 1 else 16):]
for tcp in (False, True):
    code, address = ask(sys.argv[1], 1, tcp)
    where = socket.inet_ntoa(address)
    code6, address6 = ask(sys.argv[1], 28, tcp)
    where6 = socket.inet_ntop(socket.AF_INET6, address6)
    for host in (where, f"[{where6}]"):
        print(code, code6, urllib.request.urlopen(f"http://{host}:{sys.argv[2]}/", timeout=50).status)
    # Where there is no server for names, nobody knows that there is no such name.
    print(ask("no-such-name.invalid", 1, tcp)[0] in (2, 3), ask("mail", 16, tcp)[0])
"""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        socket.getaddrinfo(name, 80)
        assert app.python(program, name, ports["web"]).split() == [*["0", "0", "200"] * 2, "True", "0"] * 2
        until(lambda: any(line["host"] == name for line in app.lines()), "its line")
        return
    pytest.skip("this machine does not know its own name")


def test_what_must_not_leave_is_refused(
    app: Agent, configure: Callable[..., None], ports: dict[str, int], outside: str
) -> None:
    """With egress = "deny" requests to hosts outside are refused with the reason, other connections are cut, and the
    mesh and this machine are still there."""
    configure('egress = "deny"')
    try:
        url = f"http://{outside}:{ports['web']}/"
        refused = app.run("curl", "-si", "--max-time", "50", url)
        assert "x-meshctl-reason: egress_denied" in refused.lower()
        by_name = app.run("curl", "-si", "--max-time", "50", "http://example.com/")
        assert "x-meshctl-reason: egress_denied" in by_name.lower()
        cut = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 50); print(s.recv(9))"
        code, out, err = app.ask(sys.executable, "-c", cut, outside, ports["mail"])
        assert code == 1 and "ConnectionResetError" in err, (out, err)
        assert app.python(cut, "mail", 25).startswith("b'220")
        assert app.python(cut, "127.0.0.1", ports["mail"]).startswith("b'220")
    finally:
        configure()


def test_tls_passes_unread(app: Agent, outside: str, tmp_path: Path) -> None:
    """TLS to a host outside ends there, not here, and the name that it asks for is in the log."""
    key, certificate = tmp_path / "key", tmp_path / "crt"
    name = "secret.example"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate]  # fmt: skip
    subprocess.run([*map(str, made)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ExitStack() as stack:
        server = ThreadingHTTPServer(("0.0.0.0", 0), Page)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        port = serving(stack, server)
        where = f"secret.example:{port}:{outside}"
        url = f"https://secret.example:{port}/t"
        page = app.run("curl", "-s", "--resolve", where, "--cacert", certificate, url)
        assert json.loads(page)["path"] == "/t"
    until(lambda: any(line["host"] == "secret.example" for line in app.lines()), "its line")


def test_files_and_users_are_as_ever(app: Agent, home: Path, tmp_path: Path) -> None:
    """The app is whom it would be: its user, its folder, its files' owner, its exit status; and it has no rights that
    the user has not."""
    file = tmp_path / "made"
    out = app.run("sh", "-c", f"id -u; id -g; touch {file}; pwd; grep ^NoNewPrivs /proc/self/status")
    assert out.split()[:3] == [str(os.geteuid()), str(os.getegid()), os.getcwd()]
    assert (file.stat().st_uid, file.stat().st_gid) == (os.geteuid(), os.getegid())
    ended = meshctl_process(
        home, "sidecar", "wrap", "--service", "job", "--intercept", "--", "sh", "-c", "exit 7",
        before=unprivileged(), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert ended.wait(110) == 7


def test_the_maker_of_sockets_is_started_again(app: Agent, orders: Agent) -> None:
    """Whoever reaches the app goes on reaching it when the process that makes the way is killed."""

    def helpers() -> set[int]:
        with contextlib.suppress(ProcessLookupError):
            found = psutil.Process(orders.process.pid).children()
            return {each.pid for each in found if each.pid != orders.app and os.getsid(each.pid) == each.pid}
        return set()

    (before,) = until(helpers, "the maker of sockets")
    os.kill(before, signal.SIGKILL)
    until(lambda: helpers() - {before}, "another one")
    # More than are kept in store, so that new ones are needed.
    program = """
import http.client, sys
ends = [http.client.HTTPConnection("orders", timeout=30) for _ in range(20)]
for end in ends:
    end.request("GET", "/")
answers = [end.getresponse() for end in ends]
# Whoever leaves before the bodies have come resets the connections to the app, which tells of that.
print({(answer.status, answer.read() != b"") for answer in answers})
"""
    assert app.python(program).strip() == "{(200, True)}"


def test_addresses_mean_what_they_did_after_a_crash(app: Agent) -> None:
    """The address that an app was told for a name leads there also when the worker that gave it has been killed."""
    (address,) = app.python("import socket; print(socket.gethostbyname('mail'))").split()

    def workers() -> list[psutil.Process]:
        with contextlib.suppress(ProcessLookupError):
            children = psutil.Process(app.process.pid).children()
            return [each for each in children if each.pid != app.app and os.getsid(each.pid) != each.pid]
        return []

    # Whoever has just been started has no session of its own yet.
    (worker,) = until(lambda: (found := workers()) and len(found) == 1 and found, "its worker alone")
    app.forgiven.add("worker_ended")
    worker.kill()
    worker.wait(60)
    greet = "import socket, sys; print(socket.create_connection((sys.argv[1], 25), 30).recv(9))"
    assert app.python(greet, address).startswith("b'220")


def group(pid: int) -> int:
    """The group of a process; 0 where it has just ended."""
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


DEAF = """
import os, signal
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.mark.parametrize("victims", ["the wrapper", "the wrapper and its worker"])
def test_nothing_is_left_of_what_is_killed(victims: str) -> None:
    """An app that was killed is started again in the same network. When its wrapper is killed, alone or with others,
    nothing stays that belongs to it: no process, also where the app takes no notice of being asked, and no network."""
    skip_unless_allowed(somebody())
    deaf = DEAF if victims == "the wrapper" else DEAF.replace("SIG_IGN", "SIG_DFL")
    words = ("--service", "mortal", "--intercept", "--restart", "on-failure", "--grace", "1s")
    with folder() as mine:
        home = mine / "home"
        made = Wrapped(home, mine / "said", words, (python(), "-c", deaf), before=somebody())
        try:
            made.until_registered()
            wrapper, first = psutil.Process(made.process.pid), made.app
            own = network(first)
            assert own != network(os.getpid()) and kept(own)
            os.kill(first, signal.SIGKILL)

            def apps() -> set[int]:
                with contextlib.suppress(ProcessLookupError):
                    pids = {each.pid for each in wrapper.children()} - {first}
                    return {pid for pid in pids if os.getpgid(pid) == pid != os.getsid(pid)}
                return set()

            (app,) = until(apps, "the app to be started again")
            # It has its group before it is where it belongs.
            until(lambda: network(app) == own, "it to be in the same network")
            until(made.registration, "it to be registered again")
            everyone = {each.pid for each in wrapper.children(recursive=True)}
            (worker,) = (each for each in everyone if group(each) == group(wrapper.pid))
            for each in (wrapper.pid, *([worker] if "worker" in victims else [])):
                os.kill(each, signal.SIGKILL)
            made.process.wait(60)
            until(lambda: not any(map(is_alive, everyone)), "its processes to be gone")
            until(lambda: kept(own) == [], "its network to be gone")
        finally:
            made.kill()


ENCLOSE = """
from meshctl.errors import MeshError
from meshctl.sidecar.enclosure import enclose
try:
    enclose(0).close()
except MeshError as error:
    print(error.message, error.hint, sep="|")
"""


@pytest.mark.parametrize(
    ("before", "why", "remedy"),
    [
        ((*FORBID, *RENOUNCE), "(user.max_user_namespaces = 0)", "sysctl -w user.max_user_namespaces="),
        (NO_NETWORKS, "(user.max_net_namespaces = 0)", "sysctl -w user.max_net_namespaces="),
        (NO_UNSHARE, "operation not permitted", "its seccomp profile"),
        (ARMOURED, "(kernel.apparmor_restrict_unprivileged_userns = 1)", "AppArmor profile"),
        (FORBID, "", ""),
    ],
    ids=["no user namespaces", "no networks", "a container's profile", "AppArmor", "root without user namespaces"],
)
def test_what_forbids_it_is_named(before: tuple[str, ...], why: str, remedy: str) -> None:
    """Where the kernel forbids it the error tells by which setting, and what would allow it; root needs no user
    namespaces."""
    if not works(*before, "true"):
        pytest.skip("it cannot be forbidden to one process alone here")
    ended = subprocess.run([*before, sys.executable, "-c", ENCLOSE], capture_output=True, text=True, timeout=60)
    assert ended.stderr == ""
    message, _, hint = ended.stdout.strip().partition("|")
    assert why in message and remedy in hint
    assert message.startswith("the kernel does not allow --intercept: ") == ("--intercept=auto" in hint) == bool(why)


def test_where_it_is_forbidden_the_setting_is_named(home: Path, tmp_path: Path) -> None:
    """Where the kernel allows no user namespaces, --intercept says so and which setting it is, and --intercept=auto
    wraps the app as ever."""
    before = (*FORBID, *RENOUNCE)
    if not works(*before, "true"):
        pytest.skip("it cannot be forbidden to one process alone here")

    def wrap(option: str) -> tuple[int, str]:
        words = ("sidecar", "wrap", "--service", "forbidden", option, "--", "sh", "-c", "exit 5")
        process = meshctl_process(tmp_path / "home", *words, before=before, stderr=subprocess.PIPE)
        said = process.communicate(timeout=110)[1].decode()
        return process.returncode, said

    code, said = wrap("--intercept")
    assert code == 1 and "user.max_user_namespaces = 0" in said, said
    code, said = wrap("--intercept=auto")
    assert code == 5 and "not_intercepted" in said, said
