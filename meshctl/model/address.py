"""Addresses as people write them: "127.0.0.1:8080", ":8080", "[::1]:8080". Pure; raises `ValueError`."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

# Underscores are no host names by RFC 1123, but container networks resolve them.
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?", re.ASCII)
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_EXPECTED: Final = 'expected host:port such as "127.0.0.1:8080", "[::1]:8080" or ":8080" for every interface'


def parse_address(text: str) -> tuple[str, int]:
    """Host and port: ":8080" → ("", 8080), "[::1]:80" → ("::1", 80). Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(_EXPECTED)
    return parse_host(host), parse_port(port)


def parse_host(text: str) -> str:
    """A host name in lower case or an address in its shortest form, without brackets; "" stays. Raises ValueError."""
    if text.startswith("[") and text.endswith("]"):
        return _address(text[1:-1], version=6)
    if not text:
        return ""
    if text.replace(".", "").isdecimal():
        return _address(text, version=4)
    if not _HOST.fullmatch(text) or ".." in text:
        raise ValueError(_EXPECTED)
    return text.lower()


def bare_address(text: str) -> IPv4Address | IPv6Address:
    """Who has this address: without its zone, and of IPv4 where it is written as one of IPv6. Raises ValueError.

    >>> bare_address("fe80::1%eth0"), bare_address("::ffff:192.0.2.7")
    (IPv6Address('fe80::1'), IPv4Address('192.0.2.7'))
    """
    found = ip_address(text.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def parse_port(text: str) -> int:
    """A port number. Raises ValueError."""
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ValueError("expected a port from 0 to 65535")
    return int(text)


def _address(text: str, *, version: int) -> str:
    try:
        found = ip_address(text)
    except ValueError:
        raise ValueError(
            f"expected an IPv{version} address such as " + ('"127.0.0.1"' if version == 4 else '"[::1]"')
        ) from None
    if found.version != version:
        raise ValueError(_EXPECTED)
    return str(found)


def overlap(one: str, other: str) -> bool:
    """Whether a listener on host `one` takes away addresses of host `other` on the same port."""
    if one == other or "" in (one, other):
        return True
    first, second = _reach(one), _reach(other)
    return any(a == b or b == f"any{a[-1]}" or a == f"any{b[-1]}" for a in first for b in second)


def _reach(host: str) -> tuple[str, ...]:
    """What a host covers: one address, all of a family, or both loopbacks. The last character is the family."""
    if host == "localhost":
        return ("127.0.0.1/4", "::1/6")
    try:
        found = ip_address(host)
    except ValueError:
        return (f"{host}/?",)
    return (f"any{found.version}",) if found.is_unspecified else (f"{found}/{found.version}",)


def shown(url: str, address: str) -> str:
    """A URL on this machine, with a word where the address behind it is every one that the machine has.

    >>> shown("http://localhost:80", "[::]:80"), shown("http://127.0.0.1:80", "127.0.0.1:80")
    ('http://localhost:80 (every address)', 'http://127.0.0.1:80')
    """
    host = address.rpartition(":")[0].strip("[]")
    return f"{url} (every address)" if address and (not host or _is_unspecified(host)) else url


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
