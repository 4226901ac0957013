"""The templates are configurations that hold, and the files lie where they are looked for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest

from meshctl import resources
from meshctl.config import templates
from meshctl.config.files import load
from meshctl.config.schema import json_schema
from meshctl.errors import MeshError
from meshctl.sidecar.ports import Port, choose_port
from meshctl.store.home import write_private
from tests.config.reading import read
from tests.config.test_files import certificate_pem, key_pem, new_key
from tests.e2e.waiting import until

Start = Callable[..., int]


def test_names() -> None:
    """There is a template for each start, the smallest first."""
    assert templates.names() == ["minimal", "api", "canary", "mesh", "tls", "full"]


@pytest.mark.parametrize("name", templates.names())
def test_templates_hold(name: str, tmp_path: Path) -> None:
    """Written to a file, beside the certificate it asks for, each template loads without a word."""
    key = new_key()
    (tmp_path / "localhost.pem").write_bytes(certificate_pem(key))
    (tmp_path / "localhost-key.pem").write_bytes(key_pem(key))
    for beside, text in templates.beside(name).items():
        (tmp_path / beside).write_text(text)
    (tmp_path / "mesh.toml").write_text(templates.text(name))
    assert load(tmp_path / "mesh.toml").warnings == ()


def test_what_is_a_comment_in_the_api_template_holds(tmp_path: Path) -> None:
    """Its further ways to know callers hold when their comment signs are taken away and the secrets are there."""
    for beside, text in templates.beside("api").items():
        (tmp_path / beside).write_text(text)
    for secret in ("oidc.secret", "introspection.secret"):
        write_private(tmp_path / secret, b"not a guess")
    kept, _, rest = templates.text("api").partition("# Four more ways to know.")
    commented, mark, services = rest.partition("# ── The services.")
    uncommented = re.sub(r"^# (?=\[|\w+ = )", "", commented.partition("\n")[2], flags=re.MULTILINE)
    text = kept + uncommented + mark + services
    every = '["partners", "users", "people", "opaque", "sso", "devices"]'
    text = text.replace('["partners", "users"]', every)
    (tmp_path / "mesh.toml").write_text(text.replace("[gateway]\n", '[gateway]\ntls = { certificate = "mesh" }\n', 1))
    found = load(tmp_path / "mesh.toml")
    assert {way.name for way in found.mesh.auth} == {"partners", "users", "people", "opaque", "sso", "devices"}
    assert found.warnings == ()


@pytest.mark.parametrize("name", templates.names())
def test_the_first_line_is_a_summary(name: str) -> None:
    """Each template says in its first line what it shows."""
    assert re.match(r"# .+\.\n", templates.text(name))


def test_the_full_template_has_every_key() -> None:
    """No key is missing from the template that promises all of them, comments counted."""
    text = templates.text("full")
    for table, schema in json_schema()["$defs"].items():
        for key in schema["properties"]:
            if (table, key) not in {("BalanceTable", "policy"), ("KeyTable", "query")}:
                assert key in text, (table, key)


def test_the_full_template_tells_the_defaults() -> None:
    """Where it says that a value is the default, the model agrees: without those tables the mesh is the same."""
    text = templates.text("full")
    document = tomllib.loads(text)
    kept: dict[str, Any] = {
        key: value for key, value in document["gateway"].items() if key not in ("timeouts", "limits")
    }
    import tomli_w

    shorter = document | {"gateway": kept}
    assert read(tomli_w.dumps(shorter)).mesh == read(text).mesh


def test_unknown_template() -> None:
    """A name that no template has is a usage error with the nearest one."""
    with pytest.raises(MeshError) as caught:
        templates.text("canray")
    assert (caught.value.code, caught.value.hint) == ("usage", 'did you mean "canary"?')
    with pytest.raises(MeshError, match="does not exist"):
        templates.text("../pyproject")


def test_resources_are_named_files_only() -> None:
    """A resource is asked for by its name, never by a path that leads elsewhere."""
    assert "minimal.toml" in resources.names("templates")
    for name in ("../pyproject.toml", "/etc/passwd", "", "."):
        with pytest.raises(MeshError, match="no "):
            resources.text("templates", name)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Runs a command line by the shell with a free $PORT, as `up` does, and gives the port; ends all."""
    running: list[subprocess.Popen[bytes]] = []
    ports: list[Port] = []

    def start(line: str, **environment: str) -> int:
        ports.append(choose_port())
        variables = {**os.environ, **environment, "PORT": str(ports[-1].number)}
        process = subprocess.Popen(
            ["sh", "-c", line], cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL, start_new_session=True
        )
        running.append(process)
        return ports[-1].number

    yield start
    for port in ports:
        port.release()
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answer(port: int) -> str:
    """What a service on the port says, once it is there."""
    opener = build_opener(ProxyHandler({}))

    def ask() -> str:
        try:
            with opener.open(f"http://127.0.0.1:{port}/", timeout=60) as response:
                return str(response.read(), "utf-8")
        except URLError as error:
            assert isinstance(error.reason, ConnectionRefusedError), error
            return ""

    return until(ask, f"a service on port {port}")


def test_the_commands_of_the_mesh_template_run(start: Start) -> None:
    """With Python alone, each version of orders answers in its own words; web asks by the environment's proxy."""
    mesh = read(templates.text("mesh")).mesh
    lines = {(service.name, each.version): each.line for service in mesh.services for each in service.commands}
    assert set(lines) == {("web", "default"), ("orders", "v1"), ("orders", "v2")}
    first, second = start(lines["orders", "v1"]), start(lines["orders", "v2"])
    assert (answer(first), answer(second)) == ("2 orders\n", "2 orders, 43.50 in total\n")
    web = start(lines["web", "default"], http_proxy=f"http://127.0.0.1:{first}", no_proxy="localhost")
    assert answer(web) == "web asked orders: 2 orders\n"
