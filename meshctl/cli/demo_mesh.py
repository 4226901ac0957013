"""The mesh.toml that `meshctl demo` writes: what a small shop with a canary looks like. Starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TEXT: Final = """\
# What `meshctl demo` runs on. Change it and run: meshctl apply -c {file} --home {home}
[mesh]
name = "demo"

[gateway]
listen = ["127.0.0.1:{listen}"]
access_log = "{folder}/access.log"

[[routes]]
name = "orders-beta"                 # one user's choice: always v2's prices
path = "/v1/orders"
headers = {{ x-beta = "yes" }}
service = "orders-v2"
rewrite = {{ prefix = "/orders" }}

[[routes]]
name = "orders"
path = "/v1/orders"
service = "orders"
rewrite = {{ prefix = "/orders" }}
timeout = "2s"

[[routes]]
name = "old-orders"
path = "/orders.php"
redirect = {{ path = "/v1/orders", status = 301 }}

[[routes]]
name = "web"
path = "/"
service = "web"

[services.web]
endpoints = ["127.0.0.1:{web_v1}"]

[services.orders]
health = {{ path = "/healthz", interval = "1s", timeout = "500ms" }}

[services.orders.versions.v1]
endpoints = ["127.0.0.1:{orders_v1}"]
weight = 90

[services.orders.versions.v2]
endpoints = ["127.0.0.1:{orders_v2}"]
weight = 10

[services.orders-v2]
endpoints = ["127.0.0.1:{orders_v2}"]
"""


def demo_mesh(folder: Path, home: Path, listen: int, ports: Mapping[str, int]) -> str:
    """The configuration: gateway on port `listen`, services on `ports`, named like "orders_v1"; logs into `folder`."""
    return _TEXT.format(folder=folder, home=home, file=folder / "mesh.toml", listen=listen, **ports)
