"""meshctl's gateway as a stranger would start it, with everything that is on by default; or with every policy on that
keeps services alive."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import meshctl

from .case import HOST, Case, prefix


def configure(case: Case) -> list[str]:
    """Write mesh.toml; return the command."""
    tls = f'\ntls = {{ certificate = "{case.tls.certificate}", key = "{case.tls.key}" }}' if case.tls else ""
    routes = "".join(f'[[routes]]\npath = "{prefix(n)}"\nservice = "shop"\n\n' for n in range(case.routes))
    path = case.folder / "mesh.toml"
    path.write_text(f"""[mesh]
name = "bench"

[gateway]
listen = ["{HOST}:{case.port}"]
workers = {case.workers}
access_log = {{ path = "{case.access_log}", format = "json" }}{tls}

{routes}{_policies(case) if case.policies else _plain(case)}{_tracing(case) if case.spans_port else ""}""")
    home = case.folder / "home"
    return [sys.executable, "-m", "meshctl", "gateway", "up", "-c", str(path), "--home", str(home)]


_BLIND = """\
from meshctl.observe.series import Series

Series.record = lambda *_: None
"""


def configure_blind(case: Case) -> list[str]:
    """The same, with nobody who counts requests and how long they took: each of its processes runs `_BLIND` first."""
    (case.folder / "sitecustomize.py").write_text(_BLIND)
    found = os.pathsep.join((str(case.folder), str(Path(meshctl.__file__).parents[1])))
    return ["env", f"PYTHONPATH={found}", *configure(case)]


def _tracing(case: Case) -> str:
    return f"""
[tracing]
endpoint = "http://{HOST}:{case.spans_port}"
sample = "1%"
"""


def _plain(case: Case) -> str:
    return f"""[services.shop]
endpoints = ["{HOST}:{case.upstream_port}"]
"""


def _policies(case: Case) -> str:
    """Two versions with users kept on theirs, time limits that are told on, retries, a breaker, ejection, a limit
    with a line, all of which look at every request and stop none."""
    versions = "".join(
        f"""
[services.shop.versions.{version}]
endpoints = ["{HOST}:{case.upstream_port}"]
weight = {weight}
"""
        for version, weight in (("v1", 90), ("v2", 10))
    )
    return f"""[services.shop]
sticky = {{ cookie = "session" }}
timeout = "10s"
retry = {{ attempts = 2, on = ["connect", "reset", "refused", "timeout", "503"], per_try = "5s" }}
breaker = {{}}
ejection = {{ rate = "50%" }}
limit = {{ requests = 1000 }}
slow_start = "1s"
{versions}"""
