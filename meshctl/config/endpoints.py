"""Endpoints as people write them: "127.0.0.1:9001", "https://api.example.com", "unix:/run/app.sock" → `Endpoint`.

Shared by the file's `endpoints`, the command line's `--route PATH=URL` and registrations. Raises `Wrong`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from meshctl.config.problems import Wrong, quoted
from meshctl.model.address import parse_address, parse_host
from meshctl.model.service import Endpoint

_EXPECTED: Final = '"127.0.0.1:9001", "https://host:443" or "unix:/run/app.sock"'
_PORTS: Final = {"http": 80, "https": 443}


def parse_endpoint(text: str, *, folder: str = "") -> Endpoint:
    """The endpoint in `text`; a relative socket path stands in `folder`. Raises Wrong, also for a URL with a path."""
    endpoint, path = split_url(text, folder=folder)
    if path not in ("", "/"):
        raise Wrong(
            f"{quoted(text)} has a path", expected="an endpoint without one", hint="use the route's rewrite.prefix"
        )
    return endpoint


def split_url(text: str, *, folder: str = "") -> tuple[Endpoint, str]:
    """The endpoint of a URL and the path behind it: "http://h:9/v2" → h:9 and "/v2"; "" where it has none."""
    if text.startswith("unix:"):
        return _unix(text, folder), ""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    elif scheme not in _PORTS:
        raise Wrong(
            f"{quoted(text)} is not an endpoint", expected=f"{_EXPECTED}", hint="the schemes are http and https"
        )
    authority, slash, path = rest.partition("/")
    if any(c in rest for c in "@?# \\") or not text.isprintable():
        raise Wrong(f"{quoted(text)} is not an endpoint", expected=f"{_EXPECTED}, without user, query or fragment")
    return _tcp(text, scheme, authority), slash + path


def _tcp(text: str, scheme: str, authority: str) -> Endpoint:
    try:
        if scheme and (authority.endswith("]") or ":" not in authority):
            host, port = parse_host(authority), _PORTS[scheme]
        else:
            host, port = parse_address(authority)
    except ValueError as error:
        raise Wrong(f"{quoted(text)} is not an endpoint", expected=_EXPECTED) from error
    if not host or not port:
        what = "host" if not host else "port"
        raise Wrong(f"{quoted(text)} has no {what}", expected=_EXPECTED)
    return Endpoint(host=host, port=port, tls=scheme == "https")


def _unix(text: str, folder: str) -> Endpoint:
    path = text.removeprefix("unix:")
    if path.startswith("//"):
        path = path[2:]
    if not path or not path.isprintable() or path.endswith("/"):
        raise Wrong(f"{quoted(text)} is not an endpoint", expected=_EXPECTED)
    return Endpoint(unix=resolve(path, folder))


def resolve(path: str, folder: str) -> str:
    """A file path of the configuration, absolute: relative ones stand in the configuration's folder."""
    return str(PurePosixPath(folder) / path)
