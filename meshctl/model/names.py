"""Names: what a service, a host or an endpoint may be called. Pure; raises `ValueError` with what was expected."""

from __future__ import annotations

import re
from typing import Final

GATEWAY: Final = "gateway"
"""The gateway's own name among services: no service may have it."""
EGRESS: Final = "egress"
"""Under which all is counted that leaves the mesh: no service may be called so."""
LOCAL: Final = "local"
"""`local:orders` is a wrapped app itself, as its own proxy sees it: service `orders` is all of its instances."""
TAKEN: Final = {GATEWAY: "the gateway's own name", EGRESS: "the name of what leaves the mesh"}
"""Names that no service may have, and whose they are."""
LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
"""This machine by its own names."""

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", re.ASCII)


def check_label(name: str) -> str:
    """`name` if it is one lower-case DNS label (RFC 1123 §2.1), else ValueError."""
    if not _LABEL.fullmatch(name):
        raise ValueError("expected a DNS label: lower-case letters, digits and inner hyphens, at most 63")
    return name


def check_route_name(name: str) -> str:
    """`name` if it may name a route (it becomes a metric label and a URL segment), else ValueError."""
    if not _PRINTABLE.fullmatch(name):
        raise ValueError("expected letters, digits and . _ : / - , starting with a letter or digit, at most 128")
    return name


def check_host_pattern(pattern: str) -> str:
    """`pattern` in lower case if it is a host name, an address or "*." and a host name, else ValueError."""
    host = pattern.lower().rstrip(".")
    bare = host.removeprefix("*.")
    if _is_address(bare) and bare == host:
        return host
    if "*" in bare or not bare or len(bare) > 253 or not all(_LABEL.fullmatch(part) for part in bare.split(".")):
        raise ValueError('expected a host name such as "api.example.com" or "*.example.com", without scheme or port')
    return host


def _is_address(text: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
