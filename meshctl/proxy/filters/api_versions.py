"""Versions of an API: refuses requests that mean none there is or say none where they must, counts who still calls one
that is to go, and refuses that as well from its sunset on, where it is enforced.

Which version a request means was decided when its route was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl import clock
from meshctl.proxy.filters.reply import Filter, Reply, refusal

if TYPE_CHECKING:
    from meshctl.model.api import ApiRoute
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange


def before_auth(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route that takes what no version is for."""
    said = route.api
    return _refusing(said) if said is not None and said.status else None


def after_auth(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route to a version that is to go: whom it is taken from is known by then."""
    said = route.api
    if said is None or not said.is_ending:
        return None
    return Ending(said).check


def _refusing(said: ApiRoute) -> Filter:
    listed = ", ".join(said.known)
    if said.part == "unknown":
        reason, detail = "unknown_api_version", f'api "{said.api}" has no such version; there are: {listed}'
    else:
        reason, detail = "api_version_missing", f'api "{said.api}" has versions, and one must be asked for: {listed}'
    more = {"api": said.api, "versions": said.known}

    def refuse(exchange: Exchange) -> Reply:
        return refusal(exchange, reason, detail, status=said.status, more=more)

    return refuse


class Ending:
    """A version of which callers were told that it will be gone."""

    __slots__ = ("_api", "_detail", "_end", "_more", "_version")

    def __init__(self, said: ApiRoute) -> None:
        self._api, self._version = said.api, said.version
        self._end = said.sunset if said.is_enforced else None
        self._detail = f'version "{said.version}" of api "{said.api}" is gone'
        self._more: dict[str, object] = {"api": said.api, "version": said.version}
        if said.link:
            self._detail += f": {said.link}"
            self._more["link"] = said.link

    def __repr__(self) -> str:
        return f"<Ending {self._api} {self._version}>"

    def check(self, exchange: Exchange) -> Reply | None:
        """Count the caller, who may have come too late."""
        now = clock.wall()
        exchange.worker.api_callers.came(self._api, self._version, exchange, now)
        if self._end is None or now < self._end:
            return None
        return refusal(exchange, "api_version_gone", self._detail, more=self._more)
