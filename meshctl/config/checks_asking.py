"""Cross-checks of ways for which another server is asked: what goes there in the clear, and headers that two tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from meshctl.config.problems import Finding, Path, quoted
from meshctl.model.auth import Auth
from meshctl.model.mesh import Mesh

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def check(mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with the ways for which another server is asked."""
    for way in mesh.auth:
        path: Path = ("auth", way.name, way.kind)
        if way.introspection is not None:
            yield from _url(path, way.introspection.url, way.introspection.ca)
        elif way.forward_auth is not None:
            yield from _url(path, way.forward_auth.url, way.forward_auth.ca)
            yield from _copied(path, way)


def _url(path: Path, url: str, ca: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        message = "credentials go there in the clear, and the answer can be replaced on its way"
        yield Finding((*path, "url"), message, 'a URL with "https://"', severity="warning")
    if parts.scheme == "http" and ca:
        message = "nobody shows a certificate at that URL"
        yield Finding((*path, "ca"), message, 'a URL with "https://"', severity="warning")


def _copied(path: Path, way: Auth) -> Iterator[Finding]:
    assert way.forward_auth is not None
    seen = {name.replace("_", "-"): "headers has it, too" for name, _ in way.headers}
    for number, name in enumerate(way.forward_auth.copy_headers):
        where = (*path, "copy_headers", number)
        if name == "cookie":
            yield Finding(where, f"{quoted(name)} is what the client proves itself by", "another header")
        plain = name.replace("_", "-")
        if plain in seen:
            yield Finding(where, seen[plain], "each header once")
        seen[plain] = f"many servers take it for {quoted(name)}"
