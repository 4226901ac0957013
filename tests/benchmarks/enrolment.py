"""A mesh for programs that are not ours: a home with an authority, and its members' certificates in files."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from meshctl.control.authority import Authority
from meshctl.control.credentials import Order
from meshctl.store.home import open_home, write_private
from meshctl.store.sqlite import SqliteStore

from .case import Member, Mesh

NAME = "bench"
TRUST_DOMAIN = f"{NAME}.mesh"
CALLER, CALLEE = "web", "orders"


def found(folder: Path) -> Mesh:
    """A new mesh under `folder`."""
    home = folder / "home"
    open_home(home)
    return Mesh(home, enrol(home, CALLER, folder), enrol(home, CALLEE, folder))


def enrol(home: Path, service: str, folder: Path) -> Member:
    """A member that stands for `service`, its files in `folder`."""
    opened = open_home(home)
    with closing(SqliteStore(opened.database)) as store:
        credentials = Authority(opened, store).issue(Order("workload", TRUST_DOMAIN, service=service))
    paths = [folder / f"{service}.{ending}" for ending in ("crt", "key", "bundle")]
    for path, content in zip(paths, (credentials.certificate, credentials.key, credentials.bundle), strict=True):
        write_private(path, content)
    return Member(credentials.identity, *paths)
