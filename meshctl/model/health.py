"""How a whole mesh is, at a glance: what each proxy tells of itself for that, and the lines that people read.

Values only: who asks stands in `control.health`, what is made of the answers in `control.symptoms`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from meshctl.model.views import ProxyView, ServiceView

State = Literal["pass", "note", "warn", "fail"]
"""fail: something does not work. warn: it will not for long, or not for everybody. note: somebody wants it so, for now.
pass: there is nothing to tell."""
Area = Literal["proxies", "services", "traffic", "callers", "certificates"]


class Denied(msgspec.Struct, frozen=True):
    """Requests of one caller to one service that a rule denied lately. `caller` is a service that proved to be it, ""
    where nobody did; `service` is "" where a route denied them before it was known who would have got them."""

    caller: str
    service: str
    rule: str
    count: int


class ProxyHealth(msgspec.Struct, frozen=True):
    """What one proxy tells: the answer to GET /v1/health."""

    proxy: ProxyView
    services: tuple[ServiceView, ...] = ()
    denied: tuple[Denied, ...] = ()


class Line(msgspec.Struct, frozen=True):
    """One thing that is as it should be, or is not: what it is about, what was seen, and the command that tells
    more."""

    area: Area
    state: State
    name: str
    detail: str
    command: str = ""


class Glance(msgspec.Struct, frozen=True):
    """`meshctl status`: the whole mesh, as `state` the gravest of its lines."""

    state: State
    revision: int
    """The newest applied configuration; 0 before the first."""
    proxies: tuple[str, ...]
    silent: tuple[str, ...]
    """Those of them that did not answer."""
    lines: tuple[Line, ...]
