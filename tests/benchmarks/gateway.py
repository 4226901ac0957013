"""meshctl's gateway as a stranger would start it, with everything that is on by default."""

from __future__ import annotations

import sys

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

{routes}[services.shop]
endpoints = ["{HOST}:{case.upstream_port}"]
""")
    home = case.folder / "home"
    return [sys.executable, "-m", "meshctl", "gateway", "up", "-c", str(path), "--home", str(home)]
