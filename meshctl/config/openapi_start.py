"""An OpenAPI document → the text of a mesh.toml to start from: a service, a route that knows the document, and hints at
what the document says of callers. It writes no file; that the text holds others find out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from meshctl.config.endpoints import split_url
from meshctl.config.openapi import Description
from meshctl.config.sources import Sources
from meshctl.model.checked import Operation
from meshctl.model.names import LOOPBACK_HOSTS

URL: Final = "http://127.0.0.1:8000"
"""Where the application is, where nobody says."""
_WIDTH: Final = 110


def start(sources: Sources, document: str, url: str | None) -> str:
    """The text, for the document as the file names it. `url` is where the application is; left out, where the document
    has it on this machine. Raises Broken or Wrong for a document or URL that is none."""
    described = Description(sources)
    if described.problems:
        raise described.problems[0]
    top = sources.top
    title = _plain(_info(top, "title")) or "the API"
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "api"
    root = described.roots[0]
    endpoint, path = split_url(url or _own(top) or URL)
    rewrite = f"rewrite = {{ prefix = {json.dumps(path)} }}\n" if url and path.rstrip("/") not in ("", root) else ""
    address = f"https://{endpoint.address}" if endpoint.tls else endpoint.address
    ways = dict(_ways(top))
    first = json.dumps(next(iter(ways), ""))
    asked = f"# auth = {first}   # what the document asks of callers; see the end of this file\n" if ways else ""
    return (
        f"# A gateway before {title}: {_counted(described.operations)} of {document}.\n"
        "#\n"
        "#   meshctl gateway up           start it, then:\n"
        f"#   curl http://127.0.0.1:8080{_example(root, described.operations)}\n"
        "#\n"
        "# What the document does not have goes no further: an unknown path is a 404, an unknown method a 405, and a\n"
        "# parameter or body that is not as it says a 400 with where and why. After a change of it: meshctl apply\n\n"
        f'[gateway]\nlisten = ["127.0.0.1:8080"]\n\n'
        f"[[routes]]\nname = {json.dumps(name)}\n"
        f"path = {json.dumps(root or '/')}   # where its servers have its paths begin\n"
        f"openapi = {json.dumps(document, ensure_ascii=False)}   # beside this file\n"
        f"service = {json.dumps(name)}\n{rewrite}{asked}\n"
        f"[services.{name}]\n"
        f"endpoints = [{json.dumps(address)}]   # where the application listens\n"
        f"{_hints(ways)}"
    )


def _hints(ways: dict[str, list[str]]) -> str:
    if not ways:
        return ""
    said = "\n# How callers are known, as the document has it. Fill in what it does not say and take out the marks,\n"
    said += "# here and at the route's auth; then look at it with: meshctl validate\n"
    for name, lines in ways.items():
        said += f"#\n# [auth.{name}]\n" + "".join(f"# {line}\n" for line in lines)
    return said


def _ways(top: Any) -> Iterator[tuple[str, list[str]]]:
    """A table for each security scheme that there is one for."""
    components = top.get("components")
    schemes = components.get("securitySchemes") if isinstance(components, dict) else None
    taken: set[str] = set()
    for given, scheme in schemes.items() if isinstance(schemes, dict) else ():
        lines = _way(scheme) if isinstance(scheme, dict) else []
        name = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")[:40].strip("-") or "callers"
        if lines and name not in taken:
            taken.add(name)
            yield name, lines


def _way(scheme: dict[str, Any]) -> list[str]:
    kind, how, name = scheme.get("type"), str(scheme.get("scheme", "")).lower(), scheme.get("name")
    if kind == "apiKey" and scheme.get("in") in ("header", "query") and isinstance(name, str):
        key = name.lower() if scheme["in"] == "header" else name
        return [f"api_key = {{ {scheme['in']} = {json.dumps(key)} }}   # keys: meshctl keys create"]
    if kind == "http" and how == "basic":
        return ['basic = { users = "users.htpasswd" }   # made with: htpasswd -B']
    if kind == "mutualTLS":
        return ["certificate = {}"]
    url = scheme.get("openIdConnectUrl")
    if kind == "openIdConnect" and isinstance(url, str):
        issuer = url.removesuffix("/.well-known/openid-configuration")
        return [f'jwt = {{ issuer = {json.dumps(issuer)}, audience = "…" }}']
    if kind in ("oauth2", "openIdConnect") or (kind == "http" and how == "bearer"):
        return ['jwt = { issuer = "https://…", audience = "…" }']
    return []


def _own(top: Any) -> str:
    """The first server that is this machine, without its path."""
    servers = top.get("servers")
    for each in servers if isinstance(servers, list) else ():
        url = each.get("url") if isinstance(each, dict) else None
        try:
            parts = urlsplit(url) if isinstance(url, str) else None
            if parts and parts.scheme in ("http", "https") and parts.hostname in LOOPBACK_HOSTS:
                return f"{parts.scheme}://{parts.netloc}"
        except ValueError:
            continue
    return ""


def _info(top: Any, key: str) -> str:
    info = top.get("info")
    return str(info.get(key, "")) if isinstance(info, dict) else ""


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[: _WIDTH // 2]


def _counted(operations: Iterable[Operation]) -> str:
    count = len(tuple(operations))
    return f"{count} operation{'' if count == 1 else 's'}"


def _example(root: str, operations: Iterable[Operation]) -> str:
    """A path that can be asked for as it stands, if there is any."""
    found = (each.path for each in operations if each.method == "GET" and "{" not in each.path)
    return root + next(found, "/")
