"""What passes through a route, and how it is changed on the way: frozen values of what the user wants."""

from __future__ import annotations

from typing import Literal

import msgspec


class Cors(msgspec.Struct, frozen=True):
    """Which pages of other origins may read a route's answers (the Fetch standard's CORS protocol)."""

    origins: tuple[str, ...]
    """Serialised origins, "https://*.example.com" for those below a host, or "*" alone for all."""
    methods: tuple[str, ...] = ()
    """What they may use; empty are those of the route, or the usual ones."""
    headers: tuple[str, ...] = ()
    """What they may send; empty is whatever they ask for."""
    expose: tuple[str, ...] = ()
    """What they may read of an answer's head, beyond the standard's safe list."""
    credentials: bool = False
    max_age: float | None = None
    """Seconds for which a browser need not ask again; None leaves it to the browser."""


class SecurityHeaders(msgspec.Struct, frozen=True):
    """What browsers are told to be strict about. "" and 0 say nothing of it."""

    hsts: float = 31_536_000.0
    """Seconds for which a browser comes by HTTPS alone; said over HTTPS and nowhere else (RFC 6797 §7.2)."""
    subdomains: bool = False
    """Whether that goes for the hosts below, too."""
    frame: Literal["deny", "sameorigin", ""] = "deny"
    nosniff: bool = True
    referrer: str = "strict-origin-when-cross-origin"
    content: str = ""
    """Content-Security-Policy."""
    permissions: str = ""
    """Permissions-Policy."""
    opener: str = ""
    """Cross-Origin-Opener-Policy."""


class Compression(msgspec.Struct, frozen=True):
    """How answers are compressed for clients that take it."""

    codings: tuple[str, ...] = ("zstd", "br", "gzip")
    """Best first; of what a client likes alike the first is taken."""
    minimum: int = 1024
    """Bytes from which it is worth the while; a body of unknown length is."""
    types: tuple[str, ...] = (
        "text/*",
        "application/json",
        "application/*+json",
        "application/javascript",
        "application/xml",
        "application/*+xml",
        "application/wasm",
        "image/svg+xml",
    )
    """Media types, a star for any word; event streams never are."""


class JsonEdits(msgspec.Struct, frozen=True):
    """Edits to bodies of JSON, in this order: keep, remove, rename, move, set. Places are JSONPaths."""

    keep: tuple[str, ...] = ()
    """What alone stays; empty is everything."""
    remove: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    """Places of members, and their new names."""
    move: tuple[tuple[str, str], ...] = ()
    set: tuple[tuple[str, str], ...] = ()
    """Places, and values as JSON."""
    limit: int = 1_048_576
    """The longest body, in bytes: it is held while it comes."""
