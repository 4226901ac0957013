"""The lean process is the one meant, whatever lies where it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import meshctl
from meshctl.control.handover import python


def test_files_beside_it_are_not_taken_for_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder whose files are called like modules of Python, a module of ours runs as anywhere else."""
    for name in ("queue", "signal", "types", "asyncio", "msgspec"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.setenv("PYTHONPATH", str(Path(meshctl.__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([*python("meshctl"), "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_checkout_is_found_by_being_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout that is not installed, a module of ours is found."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(Path(meshctl.__file__).parents[1])
    assert "-P" not in python("meshctl")


def test_no_room_for_a_process() -> None:
    """Where the machine lets nobody start another process, that is told, and no descriptor is left of it."""
    program = """if True:
        import os, resource
        from meshctl.control.handover import launch
        from meshctl.errors import MeshError
        from meshctl.model.mesh import Mesh
        before = len(os.listdir("/dev/fd"))
        if os.getuid() == 0:
            os.setuid(65534)  # the limit is none of root's
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        try:
            launch("meshctl", Mesh(), (), stdout=1, stderr=2, outlives_us=True)
        except MeshError as error:
            print(error.code, error.message)
        print(len(os.listdir("/dev/fd")) - before)
    """
    path = os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False)
    told = "failed no process can be started for meshctl: resource temporarily unavailable"
    assert (done.stderr, done.stdout.splitlines()) == ("", [told, "0"])
