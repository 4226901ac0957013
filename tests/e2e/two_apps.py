"""A gateway and two wrapped apps, for tests that look at what passes between them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .gateway import Gateway
from .sidecar import Wrapped

APP = Path(__file__).with_name("wrapped_app.py")


@contextmanager
def two_apps(folder: Path, config: str) -> Iterator[tuple[Gateway, Wrapped, Wrapped]]:
    """A gateway with this mesh.toml and the apps `web` and `orders`, of the home in `folder`, all ready. What runs at
    the end must end cleanly."""
    home, file = folder / "home", folder / "mesh.toml"
    file.write_text(config)
    gateway = Gateway(home, folder / "gateway", ["-c", file])
    started: list[Wrapped] = []
    try:
        gateway.until_ready()
        for name in ("web", "orders"):
            started.append(Wrapped(home, folder / name, ("--service", name), (sys.executable, APP)))
        web, orders = (each.until_registered() for each in started)
        yield gateway, web, orders
        for each in (web, orders, gateway):
            each.check()
    finally:
        for made in (*started, gateway):
            made.kill()
