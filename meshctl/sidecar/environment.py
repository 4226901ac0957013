"""What a wrapped app finds in its environment, so that it needs to know nothing of the mesh. Pure.

PORT                        where it should listen
HTTP_PROXY, HTTPS_PROXY     its own proxy, by which it reaches services by name; in lower case too (curl reads only
                            that), and NODE_USE_ENV_PROXY, without which Node takes no notice of them
NO_PROXY                    this machine, and what the user had
ORDERS_URL, DB_ADDR …       one for each --upstream
MESHCTL_…                   who it is, for its logs
PYTHONPATH                  what the user had, behind what joins the calls of Python apps to traces (`trace_hook`)

All else is what the user had, but for what is a secret of proxies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from meshctl.model.limits import REDIS_PASSWORD

LOOPBACK: Final = "127.0.0.1"
NEVER_PROXIED: Final = ("localhost", "127.0.0.1", "::1")
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY")
_ALL: Final = "ALL_PROXY"


class Upstream(msgspec.Struct, frozen=True):
    """A service that the app reaches on a port of its own on this machine: over HTTP, or `is_raw` with plain bytes.
    Port 0 lets the system choose."""

    service: str
    is_raw: bool = False
    port: int = 0

    @property
    def entry(self) -> str:
        """The entry of its listener and route (`model.mesh.Listener.entry`)."""
        return f"{'tcp' if self.is_raw else 'upstream'}:{self.service}"


class Facts(msgspec.Struct, frozen=True):
    """What the app is told. `outbound` is the port of its proxy, 0 where it is to have none; `upstreams` have the ports
    that were really taken."""

    service: str
    version: str
    proxy: str
    """The sidecar's id."""
    home: str
    port: int
    outbound: int
    upstreams: tuple[Upstream, ...] = ()
    is_intercepted: bool = False
    """Whether it needs no proxy to be told of, neither ours nor the user's own."""
    hook: str = ""
    """The folder of what Python apps import first; "" for none."""


def environment(before: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """The app's environment: what the wrapper had `before`, and what it is told."""
    made = {
        **{name: value for name, value in before.items() if name != REDIS_PASSWORD},
        "PORT": str(facts.port),
        "MESHCTL_SERVICE": facts.service,
        "MESHCTL_VERSION": facts.version,
        "MESHCTL_SIDECAR": facts.proxy,
        "MESHCTL_HOME": facts.home,
    }
    if facts.is_intercepted:
        for name in replaced(before, is_intercepted=True):
            del made[name]
    elif facts.outbound:
        made |= _proxy(before, f"http://{LOOPBACK}:{facts.outbound}")
    for upstream in facts.upstreams:
        made |= _upstream(upstream)
    if facts.hook:
        made["PYTHONPATH"] = ":".join(filter(None, (facts.hook, before.get("PYTHONPATH", ""))))
    return made


def replaced(before: Mapping[str, str], *, is_intercepted: bool = False) -> tuple[str, ...]:
    """The user's own proxy settings that `environment` replaces, or takes away where the app `is_intercepted`."""
    names = (*PROXIES, _ALL) if is_intercepted else PROXIES
    return tuple(name for name in (*names, *map(str.lower, names)) if before.get(name))


def parse_upstream(text: str) -> Upstream:
    """An upstream as it is typed: "orders", "orders=9000" (a fixed port), "db:tcp", "db:tcp=5432". Raises
    ValueError."""
    from meshctl.model.address import parse_port
    from meshctl.model.names import check_label

    name, equals, port = text.partition("=")
    service, colon, kind = name.partition(":")
    if colon and kind not in {"tcp", "http"}:
        raise ValueError('expected NAME, NAME:tcp, NAME=PORT or NAME:tcp=PORT, such as "orders" or "db:tcp=5432"')
    return Upstream(check_label(service), kind == "tcp", parse_port(port) if equals else 0)


def same_variables(upstreams: Sequence[Upstream]) -> tuple[Upstream, Upstream] | None:
    """Two upstreams that would be told of in the same variables, where there are such."""
    seen: dict[str, Upstream] = {}
    for each in upstreams:
        name = _variable(each.service)
        if name in seen:
            return seen[name], each
        seen[name] = each
    return None


def _proxy(before: Mapping[str, str], url: str) -> dict[str, str]:
    direct = ",".join(_union(before.get("NO_PROXY", ""), before.get("no_proxy", ""), ",".join(NEVER_PROXIED)))
    made = {"MESHCTL_PROXY": url, "NO_PROXY": direct, "no_proxy": direct, "NODE_USE_ENV_PROXY": "1"}
    for name in PROXIES:
        made[name] = made[name.lower()] = url
    return made


def _union(*lists: str) -> Iterable[str]:
    return dict.fromkeys(item for each in lists for word in each.split(",") if (item := word.strip()))


def _upstream(upstream: Upstream) -> dict[str, str]:
    name, port = _variable(upstream.service), str(upstream.port)
    if not upstream.is_raw:
        return {f"{name}_URL": f"http://{LOOPBACK}:{port}"}
    return {f"{name}_ADDR": f"{LOOPBACK}:{port}", f"{name}_HOST": LOOPBACK, f"{name}_PORT": port}


def _variable(service: str) -> str:
    # A name may begin with a digit where a variable may not (POSIX, XBD 8.1).
    name = service.upper().replace("-", "_")
    return f"_{name}" if name[0].isdigit() else name
