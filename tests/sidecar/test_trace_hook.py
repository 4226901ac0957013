"""The hook in Pythons of their own, without a mesh: who is joined to which trace, and that nobody else notices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import meshctl.sidecar
from meshctl.sidecar.environment import Facts, environment

HOOK = Path(meshctl.sidecar.__file__ or "").parent / "trace_hook"
SAID = ("00-12345678901234567890123456789012-1234567890123456-01", "a=1")
HERE = Path(__file__).parent


def run(program: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """What a program does with the hook, and with these folders of the app's own behind it."""
    path = os.pathsep.join(map(str, (HOOK, *folders, *filter(None, sys.path))))
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def answer(program: str, *folders: Path) -> Any:
    """What a program prints in JSON; it complains of nothing."""
    ended = run(program, *folders)
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


SERVERS = ["http_server", "wsgiref", "waitress", "gunicorn", "flask", "django", "fastapi", "uvicorn", "aiohttp"]


@pytest.mark.parametrize("server", SERVERS)
def test_joined(server: str) -> None:
    """Whatever a server's request says of its trace is said by calls of each client, and nothing after a request that
    says nothing; what a call says itself stays."""
    seen = answer(f"import runpy; runpy.run_path({str(HERE / 'trace_apps.py')!r})['main']({server!r})")
    clients = seen.pop("clients")
    joined = {each: list(SAID) for each in clients}
    assert seen == {"joined": joined, "alone": {each: [None, None] for each in clients}, "own": ["00-own", None]}
    assert len(clients) >= 2


def test_nothing_is_loaded_for_it() -> None:
    """An app that neither serves nor calls has two small modules more than without, and none of meshctl's."""
    program = "import sys, json; print(json.dumps(sorted(sys.modules)))"
    found = set(answer(program))
    bare = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    more = found - set(json.loads(bare.stdout))
    assert more <= {"sitecustomize", "meshctl_trace_hook", "contextvars", "_contextvars", "__future__"}
    assert "meshctl_trace_hook" in more


def test_the_apps_own_sitecustomize(tmp_path: Path) -> None:
    """A sitecustomize of the app's own runs as if there were no other, and the folder is in nobody's way."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.own = __file__\n")
    program = "import sys, json, sitecustomize as s; print(json.dumps([sys.own, s.__file__, sys.path]))"
    own, file, path = answer(program, tmp_path)
    assert own == file == str(tmp_path / "sitecustomize.py")
    assert str(HOOK) not in path


def test_an_app_is_not_broken(tmp_path: Path) -> None:
    """Modules that look other than expected are imported as they are, and errors of theirs are their own."""
    (tmp_path / "httpx").mkdir()
    (tmp_path / "httpx" / "__init__.py").write_text("import httpx._client\n")
    (tmp_path / "httpx" / "_client.py").write_text("value = 7\n")
    (tmp_path / "waitress").mkdir()
    (tmp_path / "waitress" / "__init__.py").write_text("")
    (tmp_path / "waitress" / "task.py").write_text("raise RuntimeError('its own')\n")
    program = """
import json, httpx
try:
    import waitress.task
except RuntimeError as error:
    print(json.dumps([httpx._client.value, str(error)]))
"""
    assert answer(program, tmp_path) == [7, "its own"]


def test_where_it_stands() -> None:
    """The folder comes before the user's own, and not at all where it is not wanted."""
    facts = Facts("orders", "v1", "p", "/home", 9000, 0, hook="/hook")
    assert environment({"PYTHONPATH": "/own"}, facts)["PYTHONPATH"] == "/hook:/own"
    assert environment({}, facts)["PYTHONPATH"] == "/hook"
    assert "PYTHONPATH" not in environment({}, Facts("orders", "v1", "p", "/home", 9000, 0))
