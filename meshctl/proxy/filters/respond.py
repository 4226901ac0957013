"""A route that answers with fixed text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.proxy.filters.edits import edit
from meshctl.proxy.filters.reply import Filter, Reply
from meshctl.wire.fields import make

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `respond`."""
    respond = route.respond
    if respond is None:
        return None
    body = respond.body.encode()
    fields = make("Content-Type", respond.content_type) if body else []
    reply = Reply(respond.status, edit(fields, route.response_headers), body)

    def answer(_exchange: Exchange) -> Reply:
        return reply

    return answer
