"""The mesh.toml that `meshctl demo` writes: what a small shop with a canary looks like. Starts nothing."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Final

_SERVICES: Final = Path(__file__).with_name("demo_services.py")
_TEXT: Final = """\
# What `meshctl demo` runs on. Change it and run: meshctl apply -c {file}
[mesh]
name = "demo"
default = "deny"                     # services take no calls but those that an [[allow]] lets in

[gateway]
listen = ["127.0.0.1:{listen}"]
access_log = "{folder}/access.log"

[[routes]]
name = "orders"
path = "/v1/orders"
service = "orders"
rewrite = {{ prefix = "/orders" }}
timeout = "10s"

[[routes]]
name = "old-orders"
path = "/orders.php"
redirect = {{ path = "/v1/orders", status = 301 }}

[[routes]]
name = "web"
path = "/"
service = "web"

[services.web]
command = {web}

[services.orders]
health = {{ path = "/healthz", interval = "1s", timeout = "500ms" }}

[services.orders.versions.v1]
command = {orders_v1}
weight = 90

[services.orders.versions.v2]
command = {orders_v2}
weight = 10
match = {{ headers = {{ x-beta = "yes" }} }}

[[allow]]
from = ["gateway", "web"]
to = "orders"
methods = ["GET"]

[[allow]]
from = "gateway"
to = "web"
"""


def demo_mesh(folder: Path, listen: int) -> str:
    """The configuration: gateway on port `listen`, its log in `folder`."""
    return _TEXT.format(
        folder=folder,
        file=folder / "mesh.toml",
        listen=listen,
        web=_command("web"),
        orders_v1=_command("orders", "v1"),
        orders_v2=_command("orders", "v2"),
    )


def _command(*words: str) -> str:
    """The command line of a service, as a string of TOML."""
    # -P: beside the program lie modules of ours that are called like others.
    return json.dumps(shlex.join([sys.executable, "-P", str(_SERVICES), *words]))
