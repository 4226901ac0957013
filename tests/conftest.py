"""What every test stands on: an environment of its own, and a private home for a mesh."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

from meshctl.store.home import Home, open_home
from meshctl.store.sqlite import SqliteStore

# No example is too slow: what a busy machine makes of one says nothing.
settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# Who starts the tests in the background (`nohup`, or `&` in a script) has them born deaf to these, and all they start.
for _heard, _meaning in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL),
                         (signal.SIGHUP, signal.SIG_DFL)):  # fmt: skip
    if signal.getsignal(_heard) is signal.SIG_IGN:
        signal.signal(_heard, _meaning)

_FORGOTTEN = ("MESHCTL_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "FORCE_COLOR", "LINES")


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing of the user's: their home, their mesh, their colours, their terminal's width. Yields the HOME in force.

    Of the session, not of each test, so that Hypothesis tests need not make it again for every example."""
    home = tmp_path_factory.mktemp("user")
    # Short, because sockets of homes with long paths go here, and under the tests' own root they would not fit either.
    runtime = tempfile.mkdtemp(prefix="mx-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        for name in _FORGOTTEN:
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        patch.setenv("XDG_RUNTIME_DIR", runtime)
        patch.setenv("NO_COLOR", "1")
        patch.setenv("COLUMNS", "80")
        yield home
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home, private and empty."""
    return open_home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> Iterator[SqliteStore]:
    """The new, empty store of `home`."""
    opened = SqliteStore(home.database)
    yield opened
    opened.close()


class Child(Protocol):
    """Starts a Python program in a process of its own, with this process's import path, and ends it with the test."""

    def __call__(self, program: str, *arguments: object) -> subprocess.Popen[str]: ...


@pytest.fixture
def child() -> Iterator[Child]:
    """See `Child`; the process's standard input and output are pipes of text lines."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
