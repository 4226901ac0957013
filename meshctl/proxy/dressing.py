"""What a route's clients are told on top of any answer, whoever made it: which page may read it, and what browsers are
to be strict about. Compiled once for each route; knows nothing of how an answer comes or goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, NamedTuple

from meshctl.model.passing import Cors, SecurityHeaders
from meshctl.proxy.shaping import Line, lines, made
from meshctl.wire.fields import CRLF, Fields, make

if TYPE_CHECKING:
    from meshctl.model.api import ApiRoute
    from meshctl.model.route import Route
    from meshctl.proxy.exchange import Exchange

_CORS: Final = (
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "access-control-max-age",
)
_O, _SMALL_O = b"Oo"
_LIFETIME: Final = ("Deprecation", "Sunset")
"""RFC 9745 and RFC 8594."""
_HSTS: Final = "strict-transport-security"

Source = Callable[["Exchange"], Fields]


class Dressing:
    """The lines for one route's answers. `names` are the fields of the service's answers that give way to them."""

    __slots__ = ("_fixed", "_is_by_page", "_sources", "_start", "is_said", "names")

    is_said: Callable[[bytes], object]
    """Whether a head, with its lines' ends, has any of them: mostly not, and then nothing need be taken out."""

    def __init__(
        self, names: frozenset[bytes], fixed: Fields, sources: tuple[Source, ...], *, is_by_page: bool
    ) -> None:
        self.names = names
        said = b"|".join(map(re.escape, sorted(names))) or b"(?!)"
        self.is_said = re.compile(rb"(?i)\r\n(?:%b)[ \t]*:" % said).search
        self._fixed = fixed
        self._sources = sources
        self._start = _block(fixed)
        self._is_by_page = is_by_page

    def __repr__(self) -> str:
        return f"<Dressing {len(self._fixed)} lines, {len(self._sources)} sources>"

    def lines(self, exchange: Exchange) -> Fields:
        """What is added to the answer of `exchange`; a new list."""
        return [*self._fixed, *(line for source in self._sources for line in source(exchange))]

    def block(self, exchange: Exchange) -> bytes:
        """The same as bytes, each line with its end before it. A connection's requests are mostly one page's."""
        if not self._sources:
            return self._start
        stream, fields = exchange.stream, exchange.request.fields
        last = stream.dressed
        if last is not None and last.dressing is self and (last.fields is fields or last.line in fields):
            return last.block
        block = self._start + _block([line for source in self._sources for line in source(exchange)])
        if self._is_by_page:
            line = _origin(fields)
            stream.dressed = Dressed(self, fields, line, block)
        return block


class Dressed(NamedTuple):
    """What a connection's last page was told, and what that was made of."""

    dressing: Dressing
    fields: Fields
    """Of the page's last request that was looked at."""
    line: bytes | None
    """The Origin of the page, None where it has none."""
    block: bytes


def dressing(route: Route) -> Dressing | None:
    """What the answers of `route` get; None where it asks for nothing."""
    names: list[str] = []
    fixed: Fields = []
    sources: list[Source] = []
    is_by_page = False
    if route.cors is not None:
        names += _CORS
        origins = Origins(route.cors)
        if origins.is_open:
            fixed += origins.told("*")
        else:
            sources.append(origins.lines)
            is_by_page = True
    if route.security_headers is not None:
        ours = {name for name, _ in route.response_headers.set}
        texts = [pair for pair in strict(route.security_headers) if pair[0] not in ours]
        names += [name for name, _ in texts]
        fixed += [line for name, value in texts if name != _HSTS for line in make(_titled(name), value)]
        sources += [Secured(make(_titled(name), value)).lines for name, value in texts if name == _HSTS]
    if route.compression is not None:
        fixed += make("Vary", "Accept-Encoding")
    if route.api is not None:
        told = lifetime(route.api)
        names += [name.lower() for name, _ in told if name in _LIFETIME]
        fixed += make(*(text for pair in told for text in pair))
    made_lines = lines(route.response_headers, route.match.path)
    if made_lines:
        sources.append(Variables(made_lines).lines)
    if not names and not fixed and not sources:
        return None
    return Dressing(
        frozenset(name.encode() for name in names), fixed, tuple(sources), is_by_page=is_by_page and len(sources) == 1
    )


def lifetime(said: ApiRoute) -> list[tuple[str, str]]:
    """What clients are told of a version of an API: until when it lives, where they read of that, and for caches what
    decided that it was this one."""
    found = []
    if said.deprecated is not None:
        found.append((_LIFETIME[0], f"@{said.deprecated:.0f}"))
    if said.sunset is not None:
        found.append((_LIFETIME[1], formatdate(said.sunset, usegmt=True)))
    relations = (("deprecation", said.deprecated), ("sunset", said.sunset))
    links = [f'<{said.link}>; rel="{name}"' for name, moment in relations if said.link and moment is not None]
    if links:
        found.append(("Link", ", ".join(links)))
    return [*found, ("Vary", ", ".join(said.vary))] if said.vary else found


class Origins:
    """Who may read the answers of a route with `cors`."""

    def __init__(self, cors: Cors) -> None:
        self._cors = cors
        self.is_open = cors.origins == ("*",) and not cors.credentials
        """Whether everybody is told the same."""
        self._known = {each.encode(): self.told(each) for each in cors.origins if "*" not in each}
        below = [re.escape(each).replace(r"\*", r"[a-z0-9.-]+") for each in cors.origins if "*" in each]
        self._below = re.compile("|".join(below)).fullmatch if below else None
        self._others = make("Vary", "Origin")

    def __repr__(self) -> str:
        return f"<Origins {', '.join(self._cors.origins)}>"

    def told(self, origin: str) -> Fields:
        """What a page of an origin that may read is told."""
        cors = self._cors
        pairs = [("Access-Control-Allow-Origin", origin)]
        if not self.is_open:
            pairs.append(("Vary", "Origin"))
        if cors.credentials:
            pairs.append(("Access-Control-Allow-Credentials", "true"))
        if cors.expose:
            pairs.append(("Access-Control-Expose-Headers", ", ".join(cors.expose)))
        return make(*(text for pair in pairs for text in pair))

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may read."""
        return self.is_open or origin.encode("latin-1") in self._known or self._is_below(origin)

    def lines(self, exchange: Exchange) -> Fields:
        """What this page is told. Others are told nothing but that it depends on who asks, for the caches between."""
        line = _origin(exchange.request.fields)
        origin = b"" if line is None else line[7:].strip()
        found = self._known.get(origin)
        if found is None:
            text = origin.decode("latin-1")
            found = self.told(text) if self._is_below(text) else self._others
        return found

    def _is_below(self, origin: str) -> bool:
        return self._below is not None and self._below(origin) is not None


class Variables:
    """The lines of the route's own edits that differ from answer to answer."""

    def __init__(self, found: tuple[Line, ...]) -> None:
        self._lines = found

    def lines(self, exchange: Exchange) -> Fields:
        """The lines; none on refusals, which no edit is about."""
        return [] if exchange.reason else made(self._lines, exchange)


class Secured:
    """A line that is said over HTTPS alone."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def lines(self, exchange: Exchange) -> Fields:
        """The line, or nothing: a client that came in the clear must not be told (RFC 6797 §7.2)."""
        stream = exchange.stream
        scheme = stream.scheme.encode()
        if stream.trusted:
            scheme = exchange.request.special.get(b"x-forwarded-proto", scheme)
        return self._fields if scheme == b"https" else []


def strict(headers: SecurityHeaders) -> list[tuple[str, str]]:
    """The preset as names, in lower case, and values."""
    hsts = f"max-age={int(headers.hsts)}" if headers.hsts else ""
    found = (
        (_HSTS, f"{hsts}; includeSubDomains" if hsts and headers.subdomains else hsts),
        ("x-frame-options", headers.frame.upper()),
        ("x-content-type-options", "nosniff" if headers.nosniff else ""),
        ("referrer-policy", headers.referrer),
        ("content-security-policy", headers.content),
        ("permissions-policy", headers.permissions),
        ("cross-origin-opener-policy", headers.opener),
    )
    return [(name, value) for name, value in found if value]


def _origin(fields: Fields) -> bytes | None:
    """The line that says which page a request comes from; None without one."""
    for line in fields:
        # Asked of every field of many requests: a look at the first letter costs a third of lowering the name.
        if (line[0] == _O or line[0] == _SMALL_O) and line[:7].lower() == b"origin:":
            return line
    return None


def _block(lines: Fields) -> bytes:
    """Lines as bytes, each with its end before it."""
    return b"".join([CRLF + line for line in lines])


def _titled(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))
