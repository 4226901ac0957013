"""What of an admin API is for whom: everything for this user over the Unix socket, health and metrics for whoever
reaches the TCP address, and nothing for a web page, which may be open in a browser on this very machine.

A page comes under a name of its own that somebody's DNS points here (DNS rebinding), which its Host gives away, or asks
across origins, which its Origin and Sec-Fetch-Site give away. Must not know what is answered.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from meshctl.errors import MeshError

OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics", "/metrics/mesh"})
"""What is told over TCP: probes and Prometheus need no more. Routes, endpoints and callers are nobody's business."""
MOST: Final = 128
"""Clients over TCP at a time, so that another user of the machine cannot take all descriptors of the proxy."""
VISIT: Final = 60.0
"""Seconds that one of them may stay, whatever it says or does not say."""

_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]@/]+))(?::[0-9]{0,5})?")
_TYPED: Final = frozenset({"none", "same-origin"})
_READING: Final = frozenset({"GET", "HEAD"})
_PEER: Final = struct.Struct("3i")
_SAFE_FIELDS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def check_stranger(method: str, path: str, headers: Mapping[str, str]) -> None:
    """Raises MeshError refused or not_found unless a request over TCP may be answered."""
    host = headers.get("Host", "")
    if method not in _READING or not is_plain_host(host):
        raise MeshError("refused", "over TCP this API only answers reading requests to an address or localhost")
    is_own = headers.get("Origin", f"http://{host}") == f"http://{host}"
    if not is_own or headers.get("Sec-Fetch-Site", "none") not in _TYPED:
        raise MeshError("refused", "this API answers no web pages")
    if path not in OPEN:
        hint = "the commands ask the socket in the mesh's home"
        raise MeshError("not_found", f"over TCP there is nothing but {', '.join(sorted(OPEN))}", hint=hint)


def guarded(headers: Mapping[str, str]) -> dict[str, str]:
    """The fields that keep an answer to a stranger from being taken for a page, or read by one; those that are there
    already stay."""
    return {name: value for name, value in _SAFE_FIELDS.items() if name not in headers}


def is_plain_host(host: str) -> bool:
    """Whether a Host is an address or localhost, rather than a name that somebody's DNS may point here.

    >>> [is_plain_host(each) for each in ("127.0.0.1:80", "[::1]", "localhost", "evil.example", "[::1]:80@evil", "")]
    [True, True, True, False, False, False]
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    if found["name"] == "localhost":
        return True
    try:
        return ip_address(found["v6"] or found["name"]).version == (6 if found["v6"] else 4)
    except ValueError:
        return False


def is_this_user(client: socket.socket) -> bool:
    """Whether the client of a Unix socket is this user or root, as the kernel says (unix(7), SO_PEERCRED): the
    permissions of the socket and of its folder say so already, and somebody may loosen them. Where there is no such
    question they are all there is."""
    if sys.platform != "linux":
        return True
    _, user, _ = _PEER.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return user in (0, os.geteuid())
