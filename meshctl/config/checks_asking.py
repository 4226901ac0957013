"""Cross-checks of ways for which another server is asked: what goes there in the clear, and headers that two tell."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from meshctl.config.decode import Decoded
from meshctl.config.problems import Finding, Path, did_you_mean, one_of, quoted
from meshctl.model.auth import Auth, ForwardAuth
from meshctl.model.mesh import Mesh
from meshctl.model.names import LOOPBACK_HOSTS


def check(decoded: Decoded, mesh: Mesh) -> Iterator[Finding]:
    """What is wrong with the ways for which another server is asked."""
    for way in mesh.auth:
        path: Path = ("auth", way.name, way.kind)
        if way.introspection is not None:
            yield from _url(path, way.introspection.url, way.introspection.ca)
        elif way.forward_auth is not None:
            yield from _url(path, way.forward_auth.url, way.forward_auth.ca)
            yield from _asked(decoded, path, way.forward_auth, mesh)
            yield from _copied(path, way)


def _url(path: Path, url: str, ca: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        message = "credentials go there in the clear, and the answer can be replaced on its way"
        yield Finding((*path, "url"), message, 'a URL with "https://"', severity="warning")
    if parts.scheme == "http" and ca:
        message = "nobody shows a certificate at that URL"
        yield Finding((*path, "ca"), message, 'a URL with "https://"', severity="warning")


def _asked(decoded: Decoded, path: Path, way: ForwardAuth, mesh: Mesh) -> Iterator[Finding]:
    names = {service.name: service for service in mesh.services}
    if not way.url and not way.service:
        yield Finding(path, "does not say who is asked", "url or service")
    if way.url and way.service:
        yield Finding((*path, "service"), '"url" is given too', "url or service")
    if way.path != "/" and not way.service:
        yield Finding((*path, "path"), "a URL says its path itself", "service")
    if way.ca and way.service:
        yield Finding((*path, "ca"), "how a service is believed stands in its own table", severity="warning")
    service = names.get(way.service)
    if way.service and service is None and not decoded.is_lost(("services", way.service)):
        expected = one_of(list(names)) or f"a table [services.{way.service}]"
        message = f"service {quoted(way.service)} does not exist"
        yield Finding((*path, "service"), message, expected, did_you_mean(way.service, list(names)))
    if service is not None and service.protocol == "tcp":
        message = f"service {quoted(way.service)} speaks tcp, and is asked by HTTP"
        yield Finding((*path, "service"), message, "a service that speaks http")


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
