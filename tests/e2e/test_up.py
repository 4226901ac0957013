"""`meshctl up` and `down`: all that a mesh.toml runs, started in order, shown on one screen, ended in order."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from meshctl.config import templates
from tests.sidecar.screen import CTRL_C, Screen

from .enclosing import network, skip_unless_allowed
from .gateway import is_alive, meshctl
from .team import RUN, Team
from .waiting import until

Up = Callable[..., Team]

GATEWAY = """
[gateway]
listen = ["127.0.0.1:0"]
access_log = "off"
"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Starts a team: `up(text, *arguments)`. Whatever happened, nothing of it is left after the test."""
    started: list[Team] = []

    def start(text: str, *arguments: object, **options: object) -> Team:
        started.append(Team(tmp_path, text, *arguments, **options))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def command(name: str, line: str, **more: object) -> str:
    """A service that runs `line`."""
    settings = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
    return f"[services.{name}]\ncommand = {json.dumps(line)}\n{settings}\n"


def tells(name: str) -> str:
    """A command that runs the app, which tells of its start and of the signals it gets."""
    return f"echo {name} starts && exec {RUN} tell"


def test_the_template_runs(up: Up, http: httpx.Client) -> None:
    """The mesh that `init --template mesh` writes runs: through the gateway to web, from there to both versions of
    orders by name; a wrapper that is killed comes back; Ctrl-C ends all."""
    template = templates.text("mesh").replace("127.0.0.1:8080", "127.0.0.1:0")
    team = up(template).until_ready()
    assert set(team.rows()) == {"gateway", "web", "orders v1", "orders v2"}
    assert {row["state"] for row in team.rows().values()} == {"ready"}
    seen: set[str] = set()

    def both() -> bool:
        answer = http.get(team.url)
        assert answer.status_code == 200, answer.text
        seen.add(answer.text)
        return len(seen) > 1

    until(both, "both versions", timeout=60)
    assert seen == {"web asked orders: 2 orders\n", "web asked orders: 2 orders, 43.50 in total\n"}
    until(lambda: any(line.endswith('"GET / HTTP/1.1" 200 27') for line in team.lines("web")), "the line of a request")
    for times, (number, name) in enumerate(((signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN + 6, "SIGRTMIN+6")), 2):
        before = team.record()["orders v1"]
        os.kill(before, number)
        assert team.until_told("orders v1", f"({name}); starts again").startswith("was killed")
        until(lambda times=times: team.told("orders v1").count("is ready") == times, "it to be back")  # type: ignore[misc]
        assert team.record()["orders v1"] != before
    team.until_known()
    assert http.get(team.url).status_code == 200
    team.check()
    assert not (team.home / "up.json").exists()


def test_interception(up: Up, http: httpx.Client) -> None:
    """A command with `intercept` reaches others by name without being told of a proxy, from a network of its own; one
    without has the machine's."""
    skip_unless_allowed()
    text = GATEWAY + "".join(
        [
            '[[routes]]\npath = "/"\nservice = "web"\n',
            command("web", RUN, intercept=True, after="orders"),
            command("orders", RUN, intercept=False),
        ]
    )
    team = up(text).until_ready()
    called = http.get(f"{team.url}/call?url=http://orders/env").json()
    assert called["status"] == 200
    assert not {name for name in http.get(f"{team.url}/env").json() if name.lower() == "http_proxy"}
    networks = {name: network(int(row["app"])) for name, row in team.rows().items() if name != "gateway"}
    assert networks["orders"] == network(os.getpid()) != networks["web"]
    team.check()


def test_order(up: Up, http: httpx.Client) -> None:
    """Services start after those they are after are ready, and end before them; what selects one selects those."""
    text = GATEWAY + "".join(
        [
            '[[routes]]\npath = "/"\nservice = "web"\n',
            command("web", tells("web"), after=["orders"]),
            command("orders", f"echo orders starts && exec {RUN} tell late 0.3", after=["db"]),
            command("db", tells("db")),
            command("mail", tells("mail")),
        ]
    )
    team = up(text, "web").until_ready()
    assert set(team.rows()) == {"gateway", "web", "orders", "db"}
    assert http.get(f"{team.url}/call?url=http://orders/call?url=http://db/").json()["status"] == 200
    assert team.end() == 0
    team.until_gone()
    told = re.findall(r"^(\w+) +\| (.*)$", team.shown(), re.MULTILINE)
    assert told == [
        ("db", "db starts"),
        ("orders", "orders starts"),
        ("web", "web starts"),
        ("web", "SIGTERM"),
        ("orders", "SIGTERM"),
        ("db", "SIGTERM"),
    ]


def test_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal names have colours, and the keyboard is `up`'s alone: Ctrl-C ends all in order, an app that takes
    no notice is waited for, which is said, and a second Ctrl-C ends it at once."""
    file = tmp_path / "mesh.toml"
    file.write_text(command("rock", f"echo hello && exec {RUN} stubborn") + command("sand", tells("sand")))
    words = [sys.executable, "-m", "meshctl", "--home", str(tmp_path / "home"), "up", "-c", str(file)]
    with Screen(words, TERM="xterm", NO_COLOR="") as screen:
        screen.until("everything runs", timeout=60)
        assert re.search(r"\x1b\[\d+mrock *\x1b\[0m \| hello\r\n", screen.seen)
        screen.type(CTRL_C)
        screen.until("waiting for rock to end", timeout=60)
        if "SIGTERM" not in screen.seen:
            screen.until("SIGTERM\r\n")
        assert re.findall(r"sand *\x1b\[0m \| (SIG\w+)", screen.seen) == ["SIGTERM"]
        asked = time.monotonic()
        screen.type(CTRL_C)
        assert screen.wait(60) == 0
        # The grace of an app is 10 s.
        assert time.monotonic() - asked < 8


def test_not_waited_for(up: Up) -> None:
    """Ctrl-C while `--detach` waits for everything to be ready ends what was started."""
    team = up(command("app", "sleep 600"), "--detach")
    record = until(team.record, "the sidecar to be started", timeout=60)
    assert team.end() == 130
    assert not any(map(is_alive, record.values()))
    assert team.meshctl("down").status == 4


def test_in_the_background(up: Up) -> None:
    """`--detach` returns when everything is ready; what is shown goes to a log. In one home a second `up` is refused
    and changes nothing. `down` ends the first, says what, and has nothing to end then. A mesh without routes has no
    gateway."""
    team = up(command("web", tells("web")), "--detach")
    assert team.wait() == 0
    (name, row), *others = team.rows().items()
    assert (name, others) == ("web", [])
    log = team.home / "logs" / "up.log"
    assert str(log) in team.err.read_text()
    again = meshctl(team.home, "up", "-c", team.file)
    assert (again.status, "already runs in" in again.err) == (1, True)
    ended = team.meshctl("down")
    assert ended.status == 0
    assert re.fullmatch(r"ending web \(process \d+\)\nended web\n", ended.err)
    assert not is_alive(int(row["pid"]))
    stamped = r"^(20\S+Z) web +\| (.*)$"
    (started, start), (asked, ended_by) = re.findall(stamped, log.read_text(), re.MULTILINE)
    assert (start, ended_by, started < asked) == ("web starts", "SIGTERM", True)
    assert all(re.match(r"20\S+Z ", line) for line in log.read_text().splitlines())
    nothing = team.meshctl("down")
    assert (nothing.status, "nothing runs in" in nothing.err) == (4, True)


def test_late_in_the_background(up: Up) -> None:
    """`--detach` ends with 1 where something is not ready in time, and names it; all of it runs on."""
    text = command("app", RUN) + command("worker", "sleep 600") + command("queue", "sleep 600")
    team = up(text, "--detach", "--timeout", "15")
    assert team.wait() == 1
    assert "meshctl: up runs on revision 1, but worker, queue are not ready\n" in team.err.read_text()
    assert {name: row["state"] for name, row in team.rows().items()} == {
        "app": "ready",
        "worker": "late",
        "queue": "late",
    }
    assert all(is_alive(pid) for pid in team.record().values())
    assert team.meshctl("down", "--timeout", "60").status == 0


@pytest.mark.skipif("sys.platform != 'linux'", reason="only Linux tells a process that its parent died")
def test_nothing_survives_a_kill(up: Up) -> None:
    """After a kill -9 of `up` its gateway, its sidecars and its apps end; `down` waits for them and forgets them."""
    text = f'{GATEWAY}[[routes]]\npath = "/"\nservice = "web"\n{command("web", RUN)}'
    team = up(text).until_ready()
    processes = team.processes()
    assert len(processes) >= 5  # a gateway, a sidecar, the worker of each, an app
    team.process.kill()
    team.process.wait()
    ended = team.meshctl("down")
    assert ended.status == 0, ended.err
    assert not any(map(is_alive, processes[:1]))
    team.until_gone()
    assert team.meshctl("down").status == 4


def test_commands_that_change(up: Up) -> None:
    """While `up` runs, `apply`, `config rollback` and another `up` name the services whose commands came, went or
    changed, and whom they are after, until it is what runs again; other changes are none of its business."""
    web, job = command("web", tells("web")), command("job", tells("job"))
    team = up(web + job).until_ready()
    quiet = team.meshctl("apply", "-c", team.file, "--timeout", "60s")
    assert (quiet.status, "warning" in quiet.err) == (0, False)
    team.file.write_text(web.replace("[services.web]", "[services.web]\nbalance = 'random'") + job)
    assert "warning" not in team.meshctl("apply", "-c", team.file, "--timeout", "60s").err
    team.file.write_text(web.replace("web starts", "it starts") + command("extra", RUN))
    said = "the commands of extra, job, web changed: `meshctl up` takes that up when it is started again"
    for _ in range(2):
        assert f"warning: {said}" in team.meshctl("apply", "-c", team.file, "--timeout", "60s").err
    again = team.meshctl("up", "extra", "-c", team.file)
    assert (again.status, said in again.err) == (1, True)
    assert "warning" not in team.meshctl("config", "rollback", "1", "--timeout", "60s").err
    team.file.write_text(web + job.replace("[services.job]", "[services.job]\nafter = 'web'"))
    assert "the commands of job changed" in team.meshctl("apply", "-c", team.file, "--timeout", "60s").err
    assert "the commands of job changed" not in team.meshctl("config", "rollback", "1", "--timeout", "60s").err
    team.check()
    assert "warning" not in team.meshctl("apply", "-c", team.file).err


def test_one_of_many(up: Up) -> None:
    """What `up` was not asked for may change without a word."""
    team = up(command("web", tells("web")) + command("job", tells("job")), "web").until_ready()
    team.file.write_text(command("web", tells("web")) + command("extra", RUN))
    assert "warning" not in team.meshctl("apply", "-c", team.file, "--timeout", "60s").err
    team.check()


def test_a_gateway_that_runs_already(
    up: Up, http: httpx.Client, start_gateway: Callable[..., object], tmp_path: Path
) -> None:
    """A gateway that somebody else runs in the home serves what `up` applies, and runs on when that has ended."""
    empty = tmp_path / "empty.toml"
    empty.write_text("[gateway]\nlisten = ['127.0.0.1:0']\n")
    gateway = start_gateway("-c", empty, home=tmp_path / "home", listen="")
    team = up(f'{GATEWAY}[[routes]]\npath = "/"\nservice = "web"\n{command("web", RUN)}').until_ready()
    assert set(team.rows()) == {"web"}
    assert "the gateway that runs already serves the mesh" in team.err.read_text()
    assert http.get(gateway.url).status_code == 200  # type: ignore[attr-defined]
    team.check()
    assert is_alive(gateway.pid)  # type: ignore[attr-defined]


def test_jobs_and_workers(up: Up) -> None:
    """A job that ends well lets those after it start; a worker that opens no port is told of, and runs on; one that
    ends by itself is told of. Without anything left to run, all is over."""
    text = "".join(
        [
            command("migrate", "echo migrated"),
            command("worker", "sleep 600"),
            command("app", f"{RUN}", after=["migrate"], restart="no"),
        ]
    )
    team = up(text, "--timeout", "15").until_ready()
    assert {name: row["state"] for name, row in team.rows().items()} == {
        "migrate": "ended",
        "worker": "late",
        "app": "ready",
    }
    assert "meshctl up: runs on revision 1, but worker is not ready; Ctrl-C ends it\n" in team.err.read_text()
    assert "everything runs" not in team.err.read_text()
    assert team.told("migrate") == ["has ended with 0"]
    assert team.told("worker") == [f"runs, but takes no requests: nothing listens on port {port(team, 'worker')}"]
    os.kill(int(team.rows()["app"]["app"]), signal.SIGKILL)
    assert team.until_told("app", "ended") == "has ended with 137"
    os.kill(int(team.rows()["worker"]["pid"]), signal.SIGTERM)
    assert team.wait() == 1, team.said()


def port(team: Team, name: str) -> str:
    """Where a member's app is to listen."""
    return team.rows()[name]["listens"].rpartition(":")[2]


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        (command("app", "exit 3", restart="no") + command("other", RUN), (), "app could not start: it ended with 3"),
        (
            command("app", "exit 3"),
            ("--timeout", "5"),
            r"app takes no requests after 5 s: it has been started \d+ times, and last ended with 3\n"
            "  hint: what it said is above",
        ),
        (
            command("db", "sleep 600") + command("app", RUN, after=["db"]),
            ("--timeout", "5"),
            r"app waits, but db takes no requests after 5 s: nothing listens on port \d+",
        ),
        (
            command("app", RUN, after=["db"]) + "[services.db]\n",
            ("--timeout", "5"),
            "app waits for db, which nobody has started",
        ),
    ],
    ids=["ends", "ends again and again", "awaited", "nobody's"],
)
def test_who_cannot_start(up: Up, text: str, arguments: tuple[str, ...], expected: str) -> None:
    """Where something cannot start, it is said who, why and who waits for it; the rest is ended, and the status 1."""
    team = up(text, *arguments)
    assert team.wait() == 1, team.said()
    assert re.search(f"^meshctl: {expected}$", team.err.read_text(), re.MULTILINE), team.said()
    assert not (team.home / "up.json").exists()
    assert team.meshctl("sidecar", "ls").status == 4


def test_a_port_that_is_taken(up: Up) -> None:
    """A gateway whose address somebody else has cannot start; whoever has it is named."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        text = f'[gateway]\nlisten = ["127.0.0.1:{number}"]\n[[routes]]\npath = "/"\nservice = "app"\n'
        team = up(text + command("app", RUN))
        assert team.wait() == 1
    said = team.err.read_text()
    assert re.search(rf"^meshctl: gateway could not start: .*{number}.*process {os.getpid()}", said, re.MULTILINE), said


@pytest.mark.parametrize(
    ("text", "arguments", "status", "expected"),
    [
        ("[mesh]\n", (), 4, "nothing to run"),
        (command("app", RUN), ("ap",), 4, 'service "ap" does not exist'),
        (command("app", RUN) + "[services.db]\n", ("db",), 2, 'service "db" has no command'),
        ("[services.app]\ncomand = 'x'\n", (), 3, 'did you mean "command"?'),
    ],
)
def test_what_cannot_be_meant(
    tmp_path: Path, text: str, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    """What is wrong is said before anything is started."""
    file = tmp_path / "mesh.toml"
    file.write_text(text)
    ended = meshctl(tmp_path / "home", "up", "-c", file, *arguments)
    assert (ended.status, expected in ended.err) == (status, True), ended.err


NOISE = r"""
import os, sys
os.write(2, b"an error\nno end")
os.write(1, b"\xff\x00\x1b[2Jbinary\n" + "é€\n".encode())
line = b"x" * 1000 + b"\n"
for _ in range(30_000):
    os.write(1, line)
os.write(1, b"the end")
"""


def test_output_waits_for_its_reader(up: Up, tmp_path: Path) -> None:
    """Thirty megabytes to a reader that reads nothing wait in the program that writes them; then every line comes, each
    with its name, errors marked, and nothing that a terminal would obey."""
    (tmp_path / "noise.py").write_text(NOISE)
    team = up(command("noise", f"{sys.executable} {tmp_path}/noise.py"), stdout=subprocess.PIPE)
    out = team.process.stdout
    assert out is not None
    until(lambda: select.select([out], [], [], 0)[0], "the first line", timeout=60)
    writer = until(lambda: next(iter(apps(team)), None), "the program")
    # Nothing moves once all buffers are full.
    until(lambda: writer.status() == psutil.STATUS_SLEEPING and not moves(writer), "the program to wait")
    assert psutil.Process(team.process.pid).memory_info().rss < 60_000_000
    lines = out.read().decode().splitlines()
    assert team.process.wait(60) == 0
    assert [line for line in lines if not line.startswith(("noise   |", "noise   !", "SERVICE", "noise    "))] == []
    shown = [line[10:] for line in lines if line.startswith("noise   |")]
    assert shown[:2] == ["\\xff\\x00\\x1b[2Jbinary", "é€"]
    assert shown[2:-1] == ["x" * 1000] * 30_000
    assert shown[-1] == "the end"
    assert [line[10:] for line in lines if line.startswith("noise   !")] == ["an error", "no end"]


def apps(team: Team) -> list[psutil.Process]:
    """The processes that are no Python of ours."""
    children = psutil.Process(team.process.pid).children(recursive=True)
    found = []
    for each in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [each] if "noise.py" in " ".join(each.cmdline()) else []
    return found


def moves(process: psutil.Process) -> bool:
    """Whether a process does anything in a while."""
    before = process.io_counters().write_chars
    time.sleep(0.3)
    return bool(process.io_counters().write_chars != before)


def test_nobody_reads_any_more(up: Up) -> None:
    """When whoever reads the output has gone, all is ended, with what a shell tells of a program in such a pipe."""
    team = up(command("app", "while echo line; do sleep 0.1; done"), stdout=subprocess.PIPE)
    assert team.process.stdout is not None
    assert team.process.stdout.readline() == b"app     | line\n"
    team.processes()
    team.process.stdout.close()
    assert team.process.wait(60) == 141
    team.until_gone()
