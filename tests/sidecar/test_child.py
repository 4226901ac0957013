"""One run of the app: its code, the signals it gets, and that its group ends to the last member."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from .running import is_alive, program, run, start, until_gone

RUN = """
    async def main():
        child = Child(asyncio.get_running_loop())
        child.start(sys.argv[1:], os.environ)
        code = await child.exited
        say("code", code)
        say("left", await child.clear(0.2))
    asyncio.run(main())
"""

# Stays alive whatever it is asked, says so, and who it is.
STUBBORN = """
    import os, signal, sys
    for name in ("TERM", "INT", "HUP"):
        signal.signal(getattr(signal, "SIG" + name), signal.SIG_IGN)
    print(os.getpid(), flush=True)
    while True: signal.pause()
"""


def python(body: str) -> list[str]:
    """A command that runs a Python program."""
    return program(body)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("kill -SEGV $$", 139),
        ("exit 255", 255),
    ],
)
def test_the_code_is_the_shells(script: str, code: int) -> None:
    """The code is what a shell would tell: the command's own, or 128 and the signal's number."""
    assert run(program(RUN, "sh", "-c", script)).stdout.splitlines() == [f"code {code}", "left False"]


def test_many_one_after_another() -> None:
    """A loop sees the end of each of many short runs."""
    body = """
        async def main():
            for number in range(50):
                child = Child(asyncio.get_running_loop())
                child.start(["sh", "-c", f"exit {number}"], os.environ)
                assert await child.exited == number
        asyncio.run(main())
        say("done")
    """
    assert run(program(body)).stdout == "done\n"


def test_a_parent_that_ignored_its_children() -> None:
    """Under a parent that ignores SIGCHLD, which is handed down, the app's code is still known."""
    ended = run(["/bin/bash", "-c", 'trap "" CHLD; exec "$@"', "bash", *program(RUN, "sh", "-c", "exit 9")])
    assert ended.stdout.splitlines() == ["code 9", "left False"]


def test_what_cannot_start_leaves_nothing() -> None:
    """A command that cannot be run raises, and the next one runs."""
    body = """
        async def main():
            child = Child(asyncio.get_running_loop())
            try:
                child.start(["/nowhere"], os.environ)
            except MeshError as error:
                say(error.code, repr(child))
            other = Child(asyncio.get_running_loop())
            other.start(["true"], os.environ)
            say(await other.exited)
        asyncio.run(main())
    """
    assert run(program(body)).stdout.splitlines() == ["command_not_found <Child process 0 running>", "0"]


STOP = """
    async def main():
        child = Child(asyncio.get_running_loop())
        child.start(sys.argv[2:], os.environ)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        began = asyncio.get_running_loop().time()
        code = await child.stop(signal.SIGTERM, float(sys.argv[1]))
        say("code", code, "late" if asyncio.get_running_loop().time() - began >= float(sys.argv[1]) else "soon")
        say("left", await child.clear(0.2))
    asyncio.run(main())
"""


def stopped(grace: float, command: list[str], lines: int) -> tuple[list[str], list[str]]:
    """What the app said in its first lines, and what came of stopping it then."""
    process = start(program(STOP, grace, *command), stdin=-1)
    assert process.stdout is not None
    with process:
        said = [process.stdout.readline().strip() for _ in range(lines)]
        rest, _ = process.communicate("\n", timeout=60)
    return said, rest.splitlines()


def test_it_is_asked() -> None:
    """An app that ends when asked is not killed, and its own code counts."""
    app = python("""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        say("up")
        while True: time.sleep(0.05)
    """)
    assert stopped(30, app, 1) == (["up"], ["code 5 soon", "left False"])


def test_it_is_killed_after_the_grace() -> None:
    """An app that takes no notice of being asked is killed when the grace is over."""
    (pid,), ended = stopped(0.3, python(STUBBORN), 1)
    assert ended == ["code 137 late", "left False"]
    assert not is_alive(int(pid))


def test_one_that_was_stopped_is_asked_too() -> None:
    """An app in the state of Ctrl-Z is continued, so that it can end when asked."""
    app = python("""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(6))
        say("up")
        os.kill(os.getpid(), signal.SIGSTOP)
        while True: time.sleep(0.05)
    """)
    assert stopped(30, app, 1) == (["up"], ["code 6 soon", "left False"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["sleep 100", "stubborn"])
def test_the_rest_of_the_group_ends(number: signal.Signals, kind: str) -> None:
    """When the leader of the group is gone, what it leaves behind is asked to end, and killed if it does not."""
    other = [sys.executable, "-c", program(STUBBORN)[2]] if kind == "stubborn" else kind.split()
    leader = python("""
        import subprocess
        other = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE if "-c" in sys.argv[1:] else None)
        if other.stdout: other.stdout.readline()
        say(os.getpid(), other.pid)
        signal.pause()
    """)
    process = start(program(RUN, *leader, *other))
    assert process.stdout is not None
    with process:
        pids = [int(word) for word in process.stdout.readline().split()]
        os.kill(pids[0], number)
        rest, _ = process.communicate(timeout=60)
    assert rest.splitlines() == [f"code {128 + number}", "left True"]
    until_gone(*pids)


def test_one_that_forks_away() -> None:
    """An app whose first process ends and leaves another to do the work has ended; the other one is ended with it."""
    ended = run(program(RUN, "sh", "-c", "sleep 100 & echo $!"))
    pid, *said = ended.stdout.splitlines()
    assert said == ["code 0", "left True"]
    until_gone(int(pid))


@pytest.mark.parametrize(("everyone", "expected"), [(False, ["leader"]), (True, ["leader", "member"])])
def test_signals_go_to_the_leader_or_to_all(everyone: bool, expected: list[str]) -> None:
    """A signal reaches the leader alone, as `kill PID` does, or the whole group, as the keyboard's do."""
    member = "trap 'echo member; exit' USR1; echo up; while :; do sleep 0.05; done"
    leader = f"trap 'echo leader' USR1; sh -c \"{member}\" & echo up; wait; wait; kill -9 0"
    body = f"""
        async def main():
            child = Child(asyncio.get_running_loop())
            child.start(["sh", "-c", sys.argv[1]], os.environ)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            child.signal(signal.SIGUSR1, everyone={everyone})
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            child.kill()
            await child.exited
            child.signal(signal.SIGUSR1, everyone=True)
        asyncio.run(main())
    """
    process = start(program(body, leader), stdin=-1)
    assert process.stdout is not None
    assert process.stdin is not None
    with process:
        assert [process.stdout.readline() for _ in range(2)] == ["up\n"] * 2
        process.stdin.write("\n")
        process.stdin.flush()
        said = sorted(process.stdout.readline().strip() for _ in expected)
        rest, _ = process.communicate("\n", timeout=60)
    assert (said, rest) == (expected, "")


def test_no_thread_and_no_descriptor_is_left() -> None:
    """Running an app to its end leaves the wrapper with the threads and descriptors it had."""
    body = """
        import threading
        async def main():
            loop = asyncio.get_running_loop()
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                child = Child(loop)
                child.start(["sh", "-c", "sleep 0.01 & exit 1"], os.environ)
                await child.exited
                await child.clear(5)
            say(threading.active_count(), len(os.listdir("/proc/self/fd")) - before)
        asyncio.run(main())
    """
    assert run(program(body)).stdout == "1 0\n"
