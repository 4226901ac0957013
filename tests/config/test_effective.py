"""Every setting in effect, with the line it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from meshctl.config.adhoc import routes_mesh
from meshctl.config.effective import Setting, effective
from meshctl.config.files import Loaded
from meshctl.config.render import to_toml
from meshctl.model.mesh import Mesh
from tests.config.meshes import meshes
from tests.config.reading import read

TEXT = """\
[mesh]
name = "shop"
egress = "deny"

[gateway]
listen = [
  "127.0.0.1:8080",
  { address = ":8443", connections_per_client = 40 },
  { address = ":8444", tls = { certificate = "mesh" } },
]
tls = { certificate = "c.pem", key = "k.pem" }
access_log = "access.log" # a path alone

[gateway.timeouts]
idle = "75s"

[[routes]]
path = "/v1"
service = "orders"
retry = { attempts = 3 }

[[allow]]
from = "web"
to = ["orders"]

[services.orders]
endpoints = [
  "h:1",
  { address = "h:2", weight = 2 },
]
health = {}
mtls = "permissive"

[services.db]
port = 5432
protocol = "tcp"

[services.slow]
timeout = "9s"

[[routes]]
path = "/slow"
service = "slow"
"""


@pytest.mark.parametrize(
    ("path", "value", "origin"),
    [
        ("mesh.name", "shop", "mesh.toml:2"),
        ("gateway.workers", 1, "default"),
        ("gateway.listen[0].address", "127.0.0.1:8080", "mesh.toml:7"),
        ("gateway.listen[1].address", ":8443", "mesh.toml:8"),
        ("gateway.listen[1].tls[0].key", "/etc/mesh/k.pem", "mesh.toml:11"),
        ("gateway.listen[1].connections_per_client", 40, "mesh.toml:8"),
        ("gateway.access_log.path", "/etc/mesh/access.log", "mesh.toml:12"),
        ("gateway.access_log.format", "json", "default"),
        ("gateway.timeouts.idle", "1m15s", "mesh.toml:15"),
        ("gateway.timeouts.head", "10s", "default"),
        ("gateway.limits.head_bytes", "64KiB", "default"),
        ("routes.v1.path", "/v1", "mesh.toml:18"),
        ("routes.v1.service", "orders", "mesh.toml:19"),
        ("routes.v1.retry.attempts", 3, "mesh.toml:20"),
        ("routes.v1.retry.on", ["connect", "reset", "refused"], "default"),
        ("routes.v1.timeout", "0s", "default"),
        ("routes.slow.timeout", "9s", "mesh.toml:39"),
        ("services.slow.timeout", "9s", "mesh.toml:39"),
        ("services.orders.balance", "least_load", "default"),
        ("services.orders.endpoints[0]", "h:1", "mesh.toml:28"),
        ("services.orders.endpoints[1].weight", 2, "mesh.toml:29"),
        ("services.orders.health.interval", "5s", "default"),
        ("services.orders.ejection.share", "50%", "default"),
        ("services.orders.ejection.ramp", "10s", "default"),
        ("gateway.overload.lag", "500ms", "default"),
        ("mesh.egress", "deny", "mesh.toml:3"),
        ("mesh.default", "allow", "default"),
        ("mesh.policy", "enforce", "default"),
        ("gateway.listen[2].tls[0].certificate", "mesh", "mesh.toml:9"),
        ("allow.web-to-orders.from", ["web"], "mesh.toml:23"),
        ("allow.web-to-orders.to", ["orders"], "mesh.toml:24"),
        ("services.orders.mtls", "permissive", "mesh.toml:32"),
        ("services.orders.restart", "on-failure", "default"),
        ("services.orders.intercept", False, "default"),
        ("services.orders.trace_hook", True, "default"),
        ("services.orders.after", [], "default"),
        ("services.db.port", 5432, "mesh.toml:35"),
        ("services.db.protocol", "tcp", "mesh.toml:36"),
    ],
)
def test_settings(path: str, value: object, origin: str) -> None:
    """A setting has its value in human units and the line that says it, or "default"."""
    assert [(value, origin)] == [(each.value, each.origin) for each in effective(read(TEXT)) if each.path == path]


def test_paths_are_given_once() -> None:
    """No setting is listed twice."""
    paths = [each.path for each in effective(read(TEXT))]
    assert len(paths) == len(set(paths))


def test_the_command_line() -> None:
    """What no file says comes from the command line or is a default."""
    mesh = routes_mesh(["/=http://h:1"], None)
    found = effective(Loaded(mesh, ""))
    assert Setting("services.root.endpoints", ["h:1"], "command line") in found
    assert {"default", "command line"} == {each.origin for each in found}


def test_the_name_of_the_file() -> None:
    """The origin names the file as it was given."""
    loaded = Loaded(read(TEXT).mesh, TEXT, "conf/shop.toml", path=Path("/x/conf/shop.toml"))
    assert effective(loaded)[0].origin == "conf/shop.toml:2"


@settings(max_examples=40)
@given(meshes())
def test_a_file_that_says_everything(mesh: Mesh) -> None:
    """Where a file says every key, nothing is a default, and each line named has the key's last word."""
    loaded = read(to_toml(mesh))
    lines = loaded.text.split("\n")
    for setting in effective(loaded):
        name, _, line = setting.origin.partition(":")
        assert name == "mesh.toml", setting
        key = setting.path.rpartition(".")[2].strip('"').partition("[")[0]
        assert key in lines[int(line) - 1] or "[" in setting.path, setting
