"""Rollouts of good and bad versions under load: the good ones are promoted, the bad ones are found out and taken back,
whoever drives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import termios
from pathlib import Path
from typing import Any

import pytest

from meshctl.control.discovery import is_process

from .conftest import StartGateway, StartUpstreams
from .gateway import Gateway, meshctl_process
from .load import Load
from .servers import Upstreams
from .waiting import until

QUICK = ("--every", "500ms", "--min-requests", 20)
# A gate that holds a rollout at its last step for as long as a test needs.
STAYS = '[ "$MESHCTL_WEIGHT" != 60 ] || sleep 600'
# On a busy machine anything is slow now and then.
PATIENT = ("--max-p99", "30s")


@pytest.fixture
def mine(start_upstreams: StartUpstreams) -> Upstreams:
    """Two servers, a (v1) and b (v2)."""
    return start_upstreams("a", "b")


@pytest.fixture
def file(mine: Upstreams, tmp_path: Path) -> Path:
    """A mesh.toml that sends everything to v1."""
    path = tmp_path / "mesh.toml"
    path.write_text(f"""
[[routes]]
service = "s"
[services.s.versions.v1]
endpoints = ["{mine.address("a")}"]
weight = 100
[services.s.versions.v2]
endpoints = ["{mine.address("b")}"]
weight = 0
""")
    return path


@pytest.fixture
def gateway(start_gateway: StartGateway, file: Path) -> Gateway:
    """A gateway with two workers."""
    return start_gateway("-c", file, "--workers", 2)


def any_answer(_answer: object) -> str:
    """Errors of a bad version are not the change's."""
    return ""


def shares(gateway: Gateway) -> dict[str, float]:
    """The weights in force."""
    return {each["name"]: each["weight"] for each in gateway.service("s")["versions"]}


def rolled_out(gateway: Gateway, *arguments: object, status: int) -> dict[str, Any]:
    """`traffic rollout` of v2, until it ends with `status`; its document."""
    ended = gateway.meshctl("traffic", "rollout", "s", "--to", "v2", *QUICK, *arguments, "-o", "json")
    assert ended.status == status, ended.err + ended.out
    return ended.json()  # type: ignore[no-any-return]


def verdicts(document: dict[str, Any]) -> list[tuple[str, float]]:
    """The verdict of each check and the weight it was made at."""
    return [(each["verdict"], each["weight"]) for each in document["events"] if each["kind"] == "check"]


def test_a_good_version_is_promoted(gateway: Gateway) -> None:
    """It passes a check at each step and gets everything, without a failed request; the history tells all of it, and
    one rollback goes back over the whole rollout."""
    with Load(gateway.url) as load:
        document = rolled_out(gateway, "--steps", "10,50,100", "--compare-to", "baseline", *PATIENT, status=0)
        load.more(50)
    assert load.failures == []
    assert [each for each in verdicts(document) if each[0] != "inconclusive"] == [
        ("pass", 10),
        ("pass", 50),
        ("pass", 100),
    ]
    assert (document["phase"], shares(gateway)) == ("promoted", {"v1": 0, "v2": 100})
    assert all(each["new"]["requests"] >= 20 for each in document["events"] if each["verdict"] == "pass")
    again = gateway.meshctl("traffic", "rollout", "s", "-o", "json").json()
    assert again == document
    what = [each["what"] for each in gateway.meshctl("traffic", "history", "s", "-o", "json").json()]
    assert what == ["rollout 1 to v2: v2=100", "rollout 1 to v2: v2=50", "rollout 1 to v2: v2=10"]
    assert gateway.meshctl("traffic", "rollback", "s").status == 0
    assert shares(gateway) == {"v1": 100, "v2": 0}


@pytest.mark.parametrize(
    ("behaviour", "limits", "reason"),
    [
        ({"bad": 0.05}, ("--max-errors", "1%"), "errors, 1% allowed"),
        ({"bad": 0.05}, ("--compare-to", "v1", *PATIENT), "errors, 1% allowed"),
        ({"slow": 0.3}, ("--max-p99", "200ms"), "p99"),
        ({"bad": 1.0}, ("--every", "30s"), "100% errors"),
        ({"is_cut": True}, ("--every", "30s"), "100% errors"),
    ],
    ids=["errors", "errors against v1", "slow", "hopeless", "cut off"],
)
def test_a_bad_version_is_taken_back(
    gateway: Gateway, mine: Upstreams, behaviour: dict[str, float], limits: tuple[str, ...], reason: str
) -> None:
    """Errors or a long p99 bring back the old weights after two failed checks, with the reason and status 1; one that
    only fails does not get the whole time of its checks."""
    mine.control("b", **behaviour)
    with Load(gateway.url, judge=any_answer) as load:
        # So many that a bad one is among them, whatever the order in which they end.
        document = rolled_out(gateway, "--steps", "30,100", "--min-requests", 60, *limits, status=1)
        load.more(20)
    assert document["phase"] == "rolled_back"
    assert [each for each in verdicts(document) if each[0] != "inconclusive"] == [("fail", 30), ("fail", 30)]
    assert reason in document["events"][-1]["text"]
    assert shares(gateway) == {"v1": 100, "v2": 0}


def test_without_requests_nothing_passes(gateway: Gateway) -> None:
    """No data is never a pass: it holds and says why, and goes on where requests come."""
    began = gateway.meshctl("traffic", "rollout", "s", "--to", "v2", "--steps", "50", *QUICK, "--detach")
    assert began.status == 0, began.err

    def checks() -> list[dict[str, Any]]:
        document = gateway.meshctl("traffic", "rollout", "s", "-o", "json").json()
        return [each for each in document["events"] if each["kind"] == "check"]

    (found,) = until(lambda: [each for each in checks() if each["count"] >= 2], "two checks")
    assert (found["verdict"], found["text"]) == ("inconclusive", "no requests")
    assert shares(gateway) == {"v1": 50, "v2": 50}
    with Load(gateway.url) as load:
        ended = gateway.meshctl("traffic", "rollout", "s")
        load.more(1)
    assert ended.status == 0, ended.err
    assert shares(gateway) == {"v1": 0, "v2": 100}


def test_what_clients_give_up_proves_nothing(gateway: Gateway, mine: Upstreams) -> None:
    """A version that hangs is not promoted by the requests that nobody waited for."""
    mine.control("b", is_hung=True)
    began = gateway.meshctl("traffic", "rollout", "s", "--to", "v2", "--steps", "100", *QUICK, "--detach")
    assert began.status == 0, began.err

    def told() -> dict[str, Any]:
        return gateway.meshctl("traffic", "rollout", "s", "-o", "json").json()  # type: ignore[no-any-return]

    # From the first check on, what comes is counted.
    until(lambda: verdicts(told()), "a check")
    with contextlib.ExitStack() as clients:
        for _ in range(25):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=60))
            client.sendall(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
        until(lambda: mine.control("b")["requests"] == 25, "all of them at the version")
    until(lambda: "25 were given up" in told()["events"][-1]["text"], "a check that knows of them")
    assert {verdict for verdict, _ in verdicts(told())} == {"inconclusive"}
    row = gateway.meshctl("stat", "--by", "version", "-o", "json").json()["rows"]
    assert [(each["given_up"], each["success"]) for each in row if each["version"] == "v2"] == [(25, None)]
    assert told()["phase"] == "running"


def test_hands_off_while_it_runs(gateway: Gateway) -> None:
    """While a rollout has the weights nobody else may change them; it can be paused, resumed, called off and skipped
    to the end; a second one starts only when the first is over."""
    start = ("traffic", "rollout", "s", "--to", "v2", "--steps", "10,50", "--every", "60s", "--detach")
    assert gateway.meshctl(*start).status == 0
    for words in (("shift", "s", "v2=1"), ("promote", "s", "v1"), ("rollback", "s"), ("reset", "s"), start[1:]):
        refused = gateway.meshctl("traffic", *words)
        assert (refused.status, "a rollout of" in refused.err) == (1, True), refused.err
    assert "rollout 1 to v2 is running" in gateway.meshctl("traffic", "split", "s").out
    assert "is paused" in gateway.meshctl("traffic", "pause", "s").err
    assert "is running" in gateway.meshctl("traffic", "resume", "s").err
    assert gateway.meshctl("traffic", "abort", "s").status == 0
    assert shares(gateway) == {"v1": 100, "v2": 0}
    assert gateway.meshctl("traffic", "abort", "s").status == 4
    assert gateway.meshctl(*start).status == 0
    assert gateway.meshctl("traffic", "promote", "s").status == 0
    assert shares(gateway) == {"v1": 0, "v2": 100}
    first = gateway.meshctl("traffic", "rollout", "s", "--number", 1)
    assert "aborted" in first.out
    assert "rollout" in gateway.meshctl("traffic", "rollout", "s", "--number", 7).err


def test_back_by_steps(gateway: Gateway) -> None:
    """With --rollback ramp the way back has the steps of the way up."""
    with Load(gateway.url, judge=any_answer):
        began = gateway.meshctl(
            "traffic", "rollout", "s", "--to", "v2", *QUICK, "--steps", "5,25,60", "--rollback", "ramp",
            "--gate", STAYS, "--detach",
        )  # fmt: skip
        assert began.status == 0, began.err
        until(lambda: shares(gateway)["v2"] == 60, "the last step")
        assert gateway.meshctl("traffic", "abort", "s").status == 0
        ended = gateway.meshctl("traffic", "rollout", "s")
    assert ended.status == 1, ended.err
    weights = [each["after"]["v2"] for each in gateway.meshctl("traffic", "history", "s", "-o", "json").json()]
    assert weights[:6] == [0, 5, 25, 60, 25, 5]


def test_commands(gateway: Gateway, tmp_path: Path) -> None:
    """Commands are run at their moments, find out what about from the environment, and a gate that fails is a failed
    check."""
    told = tmp_path / "told"
    note = f'echo "$MESHCTL_HOOK $MESHCTL_SERVICE $MESHCTL_VERSION $MESHCTL_WEIGHT $MESHCTL_STEP" >> {told}'
    gate = f"test ! -e {tmp_path}/shut || {{ echo it is shut; exit 3; }}"
    commands = ("--on-step", note, "--on-promote", note, "--on-rollback", note, "--gate", gate)
    with Load(gateway.url) as load:
        rolled_out(gateway, "--steps", "20,60", *commands, status=0)
        assert told.read_text().splitlines() == ["step s v2 20 1/2", "step s v2 60 2/2", "promote s v2 100 2/2"]
        assert gateway.meshctl("traffic", "rollback", "s").status == 0
        (tmp_path / "shut").touch()
        told.unlink()
        document = rolled_out(gateway, "--steps", "20,60", *commands, "--failures", 1, status=1)
    assert load.failures == []
    assert (
        "the gate failed: it ended with 3: it is shut"
        in document["events"][-2]["text"] + document["events"][-1]["text"]
    )
    assert told.read_text().splitlines() == ["step s v2 20 1/2", "rollback s v2 0 1/2"]


def test_a_gate_that_hangs(gateway: Gateway, tmp_path: Path) -> None:
    """A gate that does not end is ended with its rollout, and does not hold up the next one."""
    asked = tmp_path / "asked"
    start = ("traffic", "rollout", "s", "--to", "v2", "--steps", "50", *QUICK, "--detach")
    with Load(gateway.url):
        assert (
            gateway.meshctl(*start, "--gate", f"echo $$ > {asked}.new; mv {asked}.new {asked}; sleep 600").status == 0
        )
        until(asked.exists, "the gate is asked")
        assert gateway.meshctl("traffic", "abort", "s").status == 0
        until(lambda: not is_process(int(asked.read_text())), "the gate is ended")
        asked.unlink()
        assert gateway.meshctl(*start, "--gate", f"touch {asked}").status == 0
        until(asked.exists, "the next gate is asked")


def test_what_a_pipe_sees(gateway: Gateway) -> None:
    """In a pipe each event is one line of stdout, and the verdict stands on stderr."""
    with Load(gateway.url):
        ended = gateway.meshctl("traffic", "rollout", "s", "--to", "v2", "--steps", "50", *QUICK)
    assert ended.status == 0, ended.err
    lines = [line.split("  ", 1)[1].split() for line in ended.out.splitlines()]
    assert [words[0] for words in lines if words[1] != "inconclusive"] == ["begin", "check", "end"]
    assert lines[0][-2:] == ["to", "v2=50"]
    assert "v2 is promoted" in ended.err


def test_ctrl_c_leaves_it_running(gateway: Gateway) -> None:
    """Without a terminal to ask, an interrupted command leaves the rollout to the proxies, and says so."""
    command = ("traffic", "rollout", "s", "--to", "v2", "--steps", "50", *QUICK)
    process = meshctl_process(gateway.home, *command, stdout=-1, stderr=-1)
    assert process.stdout is not None
    assert b"begin" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, b"it goes on" in said) == (130, True)
    with Load(gateway.url):
        assert gateway.meshctl("traffic", "rollout", "s").status == 0


REFUSED = [
    (("--to", "v9"), 4, 'no version "v9"'),
    (("--to", "v2", "--steps", "5,1"), 2, "do not grow"),
    (("--to", "v2", "--steps", "5,x"), 2, "no percentages"),
    (("--to", "v2", "--steps", "5,101"), 2, "do not grow"),
    (("--to", "v2", "--every", "soon"), 2, '--every "soon"'),
    (("--to", "v2", "--every", "1ms"), 2, "too short"),
    (("--to", "v2", "--max-errors", "5"), 2, '--max-errors "5"'),
    (("--to", "v2", "--compare-to", "v2"), 2, "compared with itself"),
    (("--to", "v2", "--compare-to", "v7"), 4, 'no version "v7"'),
    (("--to", "v1"), 1, "has all the traffic already"),
    ((), 4, "there was no rollout"),
]


def test_refused(gateway: Gateway) -> None:
    """What makes no rollout is refused before anything changes."""
    for arguments, status, words in REFUSED:
        ended = gateway.meshctl("traffic", "rollout", "s", *arguments)
        assert (ended.status, words in ended.err) == (status, True), ended.err
    assert shares(gateway) == {"v1": 100, "v2": 0}


_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class OnTerminal:
    """A command on a terminal of its own, 100 columns wide."""

    def __init__(self, home: Path, *arguments: object) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.seen = ""
        self.process = meshctl_process(
            home, *arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)

    def until_seen(self, words: str) -> None:
        """Return when it has written `words`."""

        def seen() -> bool:
            if select.select([self.master], [], [], 0)[0]:
                with contextlib.suppress(OSError):
                    self.seen += _STYLES.sub("", os.read(self.master, 65536).decode(errors="replace"))
            return words in self.seen

        until(seen, f"{words!r} in {self.seen[-2000:]!r}")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_what_a_terminal_shows(gateway: Gateway) -> None:
    """On a terminal there is a weight bar, the step with the time left, both versions' figures and each verdict. Ctrl-C
    asks: first it is left running; watched again, it is aborted, which ends with 1."""
    command = ("traffic", "rollout", "s")
    with Load(gateway.url):
        first = OnTerminal(gateway.home, *command, "--to", "v2", "--steps", "25,60", "--every", "3s", "--gate", STAYS)
        try:
            for words in ("step 1 of 2", "left if all pass", "v2 ██████████░░", "25%", "REQUESTS", "the others", "✓"):
                first.until_seen(words)
            first.type("\x03")
            first.until_seen("leave it running, or abort it?")
            first.type("\n")
            first.until_seen("it goes on")
            assert first.process.wait(60) == 0
        finally:
            first.close()
        again = OnTerminal(gateway.home, *command)
        try:
            again.until_seen("step 2 of 2")
            again.type("\x03")
            again.until_seen("abort it?")
            again.type("a\n")
            again.until_seen("aborted by")
            assert again.process.wait(60) == 1
        finally:
            again.close()
    assert shares(gateway) == {"v1": 100, "v2": 0}
