"""`sidecar wrap`: check what was typed, then become the lean process that wraps the app (`process`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final, NoReturn

import msgspec

from meshctl import clock
from meshctl.control import handover
from meshctl.errors import MeshError
from meshctl.model.address import parse_address
from meshctl.model.mesh import Listener, Mesh
from meshctl.model.views import ProxyView
from meshctl.sidecar.environment import Upstream, parse_upstream, replaced, same_variables
from meshctl.sidecar.launch import check
from meshctl.sidecar.naming import check_service, proxy_id, service_name, version_name
from meshctl.sidecar.process import Options
from meshctl.sidecar.wrapper import Wrapping
from meshctl.store.home import Home
from meshctl.store.nearest import nearest_config

_PROCESS: Final = "meshctl.sidecar.process"


class WrapOptions(msgspec.Struct, frozen=True):
    """`sidecar wrap` as it was typed."""

    home: Home
    wrapping: Wrapping
    service: str | None = None
    version: str | None = None
    port: int = 0
    upstreams: tuple[str, ...] = ()
    gateway: tuple[str, ...] = ()
    admin: str | None = None
    is_quiet: bool = False


def prepare(options: WrapOptions, remark: Callable[[str], None]) -> Options:
    """What the process is to do; `remark` is told of what was chosen for the user. Raises MeshError for what cannot be
    meant, or cannot be run."""
    check(options.wrapping.command, os.environ)
    service = check_service(options.service or service_name(options.wrapping.command))
    mesh = _mesh(options.home)
    version = version_name(options.version, service, mesh or Mesh())
    for each in _remarks(options, service, version, mesh):
        remark(each)
    return Options(
        str(options.home.path),
        proxy_id(service, version, clock.bits(24)),
        service,
        version,
        options.wrapping,
        options.port,
        _upstreams(options.upstreams),
        tuple(map(_listener, options.gateway)),
        options.admin,
        is_quiet=options.is_quiet,
    )


def become(options: Options, on_ready: Callable[[ProxyView], None], on_error: Callable[[MeshError], None]) -> NoReturn:
    """Become the wrapper; never returns. `on_ready` or `on_error` is called in a child that then ends."""
    handover.become(_PROCESS, options, (), ProxyView, on_ready, on_error)


def _mesh(home: Home) -> Mesh | None:
    """The configuration in force; None before the first."""
    from meshctl.control.revisions import current
    from meshctl.store.sqlite import SqliteStore

    with closing(SqliteStore(home.database)) as store:
        revision = current(store)
        return revision.mesh() if revision else None


def _remarks(options: WrapOptions, service: str, version: str, mesh: Mesh | None) -> Iterator[str]:
    if options.service is None:
        yield f'wrapped as service "{service}"; --service names it otherwise'
    is_intercepted = bool(options.wrapping.intercept)
    if options.wrapping.has_proxy and (names := replaced(os.environ, is_intercepted=is_intercepted)):
        words = ", ".join(f"${name}" for name in names)
        said = "is not passed on to the app" if is_intercepted else "is the sidecar now and not what it was"
        yield f"{words} {said}; --no-proxy-env leaves it"
    if mesh is None and (file := nearest_config()):
        yield f"{file} is not applied: run `meshctl apply` to have the mesh follow it"
    listed = {each.name: each.weight for known in (mesh or Mesh()).services if known.name == service
              for each in known.versions}  # fmt: skip
    if listed and not listed.get(version):
        command = f"meshctl traffic shift {service} {version}=10"
        yield f"{service} {version} has no weight in the configuration; `{command}` sends it requests"


def _listener(text: str) -> Listener:
    try:
        return Listener(*parse_address(text))
    except ValueError as error:
        raise MeshError("usage", f'--gateway "{text}": {error}') from error


def _upstreams(texts: tuple[str, ...]) -> tuple[Upstream, ...]:
    found = []
    for text in texts:
        try:
            found.append(parse_upstream(text))
        except ValueError as error:
            raise MeshError("usage", f'"{text}" is no upstream: {error}') from error
    if clash := same_variables(found):
        names = " and ".join(each.service for each in clash)
        raise MeshError("usage", f"{names} would be told to the app in the same variables", hint="give one of them")
    return tuple(found)
