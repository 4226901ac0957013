"""The filters, in the order in which a request meets them: one file each, listed here and nowhere else.

A factory takes a route, the service it leads to, if any, and the guard that knows its callers, if it asks for them. It
returns a filter, or None where the route does not ask for it: what is not configured costs nothing. A filter takes the
exchange and returns None to let it go on, the `Reply` that ends it, or `LATER` where it has to be asked again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from meshctl.proxy.filters import (
    access,
    addresses,
    api_versions,
    auth,
    bandwidth,
    cache,
    compression,
    cors,
    json_bodies,
    parts,
    quotas,
    rate_limits,
    raw_only,
    redirect,
    require,
    respond,
    validation,
)
from meshctl.proxy.filters.reply import LATER, Filter, Reply

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service

__all__ = ["FILTERS", "LATER", "Filter", "Reply"]

FILTERS: Final[dict[str, Callable[[Route, Service | None, Filter | None], Filter | None]]] = {
    "access": access.compile_filter,
    "raw_only": raw_only.compile_filter,
    "addresses": addresses.compile_filter,
    "cors": cors.compile_filter,
    "rate_limits": rate_limits.before_auth,
    "api_versions": api_versions.before_auth,
    "auth": auth.compile_filter,
    "require": require.compile_filter,
    "api_versions_that_go": api_versions.after_auth,
    "rate_limits_of_callers": rate_limits.after_auth,
    "quotas": quotas.compile_filter,
    "validation": validation.compile_filter,
    "bandwidth": bandwidth.compile_filter,
    "compression": compression.compile_filter,
    "response_body": json_bodies.of_answers,
    "request_body": json_bodies.of_requests,
    "cache": cache.compile_filter,
    "redirect": redirect.compile_filter,
    "respond": respond.compile_filter,
    "parts": parts.compile_filter,
}
