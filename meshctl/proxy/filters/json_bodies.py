"""Bodies of JSON that are edited on their way: the request's before it goes on, the answer's on its way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.proxy.filters.reply import LATER, Filter, Reply, refusal
from meshctl.wire.fields import without

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange

_NOT_ASKED: Final = frozenset((b"accept-encoding", b"range", b"if-range"))
"""What a service is not asked for where its answers are edited: what could not be read here, and parts, by which a
client would get at what is taken out of the whole."""


def of_answers(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `response_body`."""
    settings = route.response_body
    if settings is None:
        return None
    from meshctl.core.json_edits import Edits
    from meshctl.proxy.editing import Editing

    edits = Edits(settings)

    def watch(exchange: Exchange) -> Reply | None:
        # Also of one that asks for another protocol: only a 101 is no answer, and that passes as it is.
        request = exchange.request
        exchange.stream = Editing(exchange, edits, settings.limit)
        request.fields = without(request.fields, _NOT_ASKED)
        return None

    return watch


def of_requests(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `request_body`."""
    settings = route.request_body
    if settings is None:
        return None
    from meshctl.core.json_edits import Edits
    from meshctl.proxy.editing import Gathering, coding, is_json

    edits, limit = Edits(settings), settings.limit

    def gather(exchange: Exchange) -> Reply | None:
        request = exchange.request
        if not request.length or request.upgrade or not is_json(request.fields):
            return None
        if coding(request.fields):
            return refusal(exchange, "body_unreadable", "the body is in a content coding")
        if request.length > limit:
            return refusal(exchange, "body_too_large", f"the body may have at most {limit} bytes to be edited")
        gathering = Gathering(exchange, edits, limit)
        if not gathering.begin():
            return LATER
        # One that is refused here has had its answer.
        return None if gathering.edit() else LATER

    return gather
