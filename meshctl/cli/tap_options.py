"""Which requests `tap` and `top` look at: the options they share, as a filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from meshctl.cli.session import Session
from meshctl.errors import MeshError

if TYPE_CHECKING:
    from meshctl.model.tap import TapFilter
    from meshctl.model.views import ProxyRecord

T = TypeVar("T")

Names = list[str] | None

ServiceArgument = Annotated[
    Names, typer.Argument(metavar="SERVICE…", help="Requests to these services and by them (default: all).")
]
FromOption = Annotated[Names, typer.Option("--from", metavar="WHO", help="Only calls of this service or address.")]
ToOption = Annotated[Names, typer.Option("--to", metavar="WHOM", help="Only calls to this service, or version: a/v2.")]
MethodOption = Annotated[Names, typer.Option("--method", metavar="METHOD", help="Only GET, POST…")]
PathOption = Annotated[Names, typer.Option("--path", metavar="PATH", help='Only below this path, or "/a/*/b".')]
StatusOption = Annotated[Names, typer.Option("--status", metavar="STATUS", help="Only 503, 5xx, 400-499…")]
HeaderOption = Annotated[
    Names, typer.Option("--header", metavar="HEADER", help='Only with this request header: "x-user: al*", or a name.')
]
SlowOption = Annotated[str, typer.Option("--slow", metavar="DURATION", help="Only what took at least so long: 200ms.")]
RateOption = Annotated[float, typer.Option("--max-rate", metavar="RATE", help="Requests a second to show at most.")]


def wanted(
    services: Names,
    sources: Names,
    destinations: Names,
    methods: Names,
    paths: Names,
    statuses: Names,
    headers: Names,
    slow: str,
    max_rate: float,
    **more: Any,
) -> TapFilter:
    """The options as a filter. Raises MeshError usage."""
    from meshctl.core.tap_filter import parse_header, parse_status
    from meshctl.model.tap import TapFilter
    from meshctl.model.units import parse_duration

    if not max_rate > 0:
        raise MeshError("usage", "--max-rate takes a number above 0")
    for path in paths or ():
        if not path.startswith(("/", "*")):
            raise MeshError("usage", f'--path: "{path}" does not begin with "/"')
    return TapFilter(
        services=tuple(services or ()),
        sources=tuple(sources or ()),
        destinations=tuple(destinations or ()),
        methods=tuple(method.upper() for method in methods or ()),
        paths=tuple(paths or ()),
        statuses=tuple(pair for each in _read("--status", parse_status, statuses) for pair in each),
        headers=tuple(_read("--header", parse_header, headers)),
        slow=_read("--slow", parse_duration, [slow])[0] if slow else 0.0,
        max_rate=max_rate,
        **more,
    )


def finder(session: Session) -> Callable[[], Sequence[ProxyRecord]]:
    """Finds the proxies that run, again and again; once there was one, none is no error. Raises not_running."""
    from meshctl.cli.proxies import running

    running(session)

    def find() -> Sequence[ProxyRecord]:
        try:
            return running(session)
        except MeshError as error:
            if error.code != "not_running":
                raise
            return []

    return find


def _read(option: str, parse: Callable[[str], T], texts: Names) -> list[T]:
    try:
        return [parse(text) for text in texts or ()]
    except ValueError as error:
        raise MeshError("usage", f"{option}: {error}") from error
