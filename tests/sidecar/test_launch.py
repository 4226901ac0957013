"""A command becomes a process as under a shell: found, refused, with the signals, descriptors and environment it would
have had."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .running import environ, program, run, start, until_gone

LAUNCH = """
    try:
        check(sys.argv[1:], os.environ)
        pid = launch(sys.argv[1:], os.environ, ignored_signals())
    except MeshError as error:
        print(error.code, error.message, error.hint, sep="|", file=sys.stderr)
        sys.exit(error.exit_status)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def launched(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    """What a launched command said and ended with, or why it was not launched."""
    return run(program(LAUNCH, *command), **options)


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder of files that are more and less fit to be run."""

    def write(name: str, text: str, mode: int) -> None:
        handle = os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT, mode)
        os.write(handle, text.encode())
        os.close(handle)

    write("good", "#!/bin/sh\necho good $1; exit 3\n", 0o755)
    write("bare", "echo bare $1; exit 4\n", 0o755)
    write("plain.py", "print()\n", 0o644)
    write("lost", "#!/nowhere/interpreter\n", 0o755)
    write("binary", "\x7fELFnonsense", 0o755)
    return tmp_path


@pytest.mark.parametrize("command", ["./good x", "good x", "./bare x", "bare x", "true", "false", "sh -c 'exit 77'"])
def test_what_runs_ends_as_under_a_shell(command: str, scripts: Path) -> None:
    """A command found by its path or in $PATH, a script with or without a first line, prints what it prints and ends as
    it ends."""
    path = {"PATH": f"{scripts}:{os.environ['PATH']}"}
    expected = run(["/bin/sh", "-c", command], cwd=scripts, env=environ(**path))
    words = ["sh", "-c", "exit 77"] if "exit" in command else command.split()
    ended = launched(*words, cwd=scripts, env=environ(**path))
    assert (expected.stdout, expected.returncode) == (ended.stdout, ended.returncode), ended.stderr


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("nosuchcommand", 127, 'command not found: "nosuchcommand"|look at $PATH'),
        ("./nosuchfile", 127, 'command not found: "./nosuchfile"'),
        ("", 127, 'command not found: ""|give a command after --'),
        ("python app.py", 127, 'command not found: "python app.py"|give it in several words'),
        ("plain.py", 127, "there is a file of that name here: -- python plain.py"),
        ("./good/below", 127, "command not found"),
        ("./lost", 127, "the interpreter on its first line is not there"),
        ("./plain.py", 126, '"./plain.py" cannot be run: permission denied|make it executable'),
        ("./", 126, '"./" is a directory'),
        (".", 127, "command not found"),
    ],
)
def test_what_cannot_run_is_told(command: str, status: int, said: str, scripts: Path) -> None:
    """A command that is not there ends with 127 and one that may not be run with 126, each with the reason and what to
    do."""
    ended = launched(command, cwd=scripts)
    assert (ended.returncode, said in ended.stderr) == (status, True), ended.stderr


def test_no_room_for_a_process() -> None:
    """Where the machine lets nobody start another process, that is told, and no descriptor is left of it."""
    body = """
        import resource
        async def main():
            child = Child(asyncio.get_running_loop())
            try:
                child.start(["true"], os.environ)
            except MeshError as error:
                return error
        asyncio.new_event_loop().close()
        before = len(os.listdir("/dev/fd"))
        if os.getuid() == 0:
            os.setuid(65534)  # the limit is none of root's
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        error = asyncio.run(main())
        say(error.code, error.message)
        say(len(os.listdir("/dev/fd")) - before)
    """
    told = 'failed no process can be started for "true": resource temporarily unavailable'
    assert run(program(body)).stdout.splitlines() == [told, "0"]


def test_a_broken_binary_is_given_to_the_shell(scripts: Path) -> None:
    """What the kernel cannot execute is given to the shell, which says what it thinks of it."""
    ended = launched("./binary", cwd=scripts)
    assert ended.returncode in {126, 127}
    assert "./binary" in ended.stderr


def masks(text: str) -> dict[str, set[int]]:
    """The signal sets in a process's status, by name."""
    found = re.findall(r"(Sig\w+|Shd\w+):\s+([0-9a-f]{16})", text)
    return {name: {at + 1 for at in range(64) if int(value, 16) >> at & 1} for name, value in found}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("ignored", [(), ("HUP",), ("INT", "QUIT", "CHLD")])
def test_signals_are_as_unwrapped(ignored: tuple[str, ...]) -> None:
    """The app ignores what whoever started the wrapper had it ignore, and nothing else; nothing is blocked."""
    trap = "".join(f"trap '' {name}; " for name in ignored)
    command = program(LAUNCH, "cat", "/proc/self/status")
    ended = run(["/bin/bash", "-c", f'{trap}exec "$@"', "bash", *command])
    found = masks(ended.stdout)
    assert found["SigIgn"] == {getattr(signal, f"SIG{name}") for name in ignored}, ended.stderr
    assert found["SigBlk"] == set()


def test_descriptors_are_passed_on() -> None:
    """A descriptor that the wrapper was given reaches the app; the wrapper's own do not."""
    read, write = os.pipe()
    listing = f"import os; os.write({write}, b' '.join(sorted(os.listdir(b'/proc/self/fd'))))"
    body = "keep = open('/dev/null')\n" + LAUNCH.replace("\n    ", "\n")
    ended = run(program(body, sys.executable, "-c", listing), pass_fds=(write,))
    os.close(write)
    with os.fdopen(read, "rb") as got:
        # 0, 1, 2, the pipe, and the one that lists.
        assert len(got.read().split()) == 5, ended.stderr


def test_systemd_sockets_are_the_apps() -> None:
    """LISTEN_PID, where it names the wrapper, names the app afterwards; one that names anybody else stays."""
    command = ("sh", "-c", "test $LISTEN_PID = $$ && echo mine || echo others")
    own = "os.environ['LISTEN_PID'] = str(os.getpid())\n" + LAUNCH.replace("\n    ", "\n")
    assert run(program(own, *command)).stdout == "mine\n"
    assert launched(*command, env=environ(LISTEN_PID="1")).stdout == "others\n"


def test_a_group_of_its_own() -> None:
    """The app leads a process group of its own in the wrapper's session."""
    body = "import os; print(os.getpgrp() == os.getpid(), os.getsid(0) == os.getsid(os.getppid()))"
    assert launched(sys.executable, "-c", body).stdout == "True True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_the_kernel_ends_it_with_the_wrapper() -> None:
    """After kill -9 of the wrapper, with nobody left to help, the app is asked to end."""
    body = """
        say(launch(["sleep", "100"], os.environ))
        signal.pause()
    """
    process = start(program(body))
    assert process.stdout is not None
    with process:
        app = int(process.stdout.readline())
        process.kill()
    until_gone(app)
