"""What of servers and frameworks notes which trace a request belongs to. Where two of them see the same request they
note the same. What they noted holds in that thread, task or greenlet until it begins another request.
"""

from __future__ import annotations

from meshctl_trace_hook import put, said

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real one takes longer to import than all of this
    from collections.abc import Callable
    from typing import Any

LONGEST = 2_048
"""Characters of either header that are passed on."""


def note(traceparent: object, tracestate: object) -> None:
    """A request begins in this context."""
    if not isinstance(traceparent, str) or not 0 < len(traceparent) <= LONGEST:
        said.set(None)
    else:
        is_short = isinstance(tracestate, str) and len(tracestate) <= LONGEST
        said.set((traceparent, str(tracestate) if is_short else ""))


def note_environ(environ: Any) -> None:
    """A request begins, as WSGI describes it."""
    try:
        note(environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_TRACESTATE"))
    except Exception:
        pass


def note_headers(headers: Any) -> None:
    """A request begins with these headers, a mapping."""
    try:
        note(headers.get("traceparent"), headers.get("tracestate"))
    except Exception:
        pass


def note_scope(scope: Any) -> None:
    """A request begins, as ASGI describes it."""
    try:
        if scope.get("type") in ("http", "websocket"):
            found = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
            state = found.get(b"tracestate")
            parent = found.get(b"traceparent", b"").decode("latin-1")
            note(parent, state.decode("latin-1") if state is not None else None)
    except Exception:
        pass


def _wsgi(kind: str) -> Callable[[Any], None]:
    def hook(module: Any) -> None:
        original = getattr(module, kind).__call__

        def __call__(self: Any, environ: Any, start_response: Any) -> Any:  # noqa: N807
            note_environ(environ)
            return original(self, environ, start_response)

        put(getattr(module, kind), "__call__", __call__, original)

    return hook


def _asgi(kind: str) -> Callable[[Any], None]:
    def hook(module: Any) -> None:
        original = getattr(module, kind).__call__

        async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> Any:  # noqa: N807
            note_scope(scope)
            return await original(self, scope, receive, send)

        put(getattr(module, kind), "__call__", __call__, original)

    return hook


def uvicorn(module: Any) -> None:
    """Any ASGI app that uvicorn serves."""
    original = module.RequestResponseCycle.run_asgi

    async def run_asgi(self: Any, app: Any) -> Any:
        note_scope(self.scope)
        return await original(self, app)

    put(module.RequestResponseCycle, "run_asgi", run_asgi, original)


def http_server(module: Any) -> None:
    """Handlers of `http.server` and all that stands on them: wsgiref, Django's runserver, werkzeug, so Flask's own."""
    original = module.BaseHTTPRequestHandler.parse_request

    def parse_request(self: Any) -> Any:
        found = original(self)
        note_headers(getattr(self, "headers", None))
        return found

    put(module.BaseHTTPRequestHandler, "parse_request", parse_request, original)


def gunicorn(module: Any) -> None:
    """WSGI apps that gunicorn serves, with any kind of worker."""
    original = module.create

    def create(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        note_environ(found[1])
        return found

    put(module, "create", create, original)


def waitress(module: Any) -> None:
    """WSGI apps that waitress serves."""
    original = module.WSGITask.get_environment

    def get_environment(self: Any) -> Any:
        found = original(self)
        note_environ(found)
        return found

    put(module.WSGITask, "get_environment", get_environment, original)


def aiohttp_server(module: Any) -> None:
    """aiohttp's own server."""
    original = module.Application._handle

    async def _handle(self: Any, request: Any) -> Any:
        note_headers(request.headers)
        return await original(self, request)

    put(module.Application, "_handle", _handle, original)


flask = _wsgi("Flask")
django_wsgi = _wsgi("WSGIHandler")
django_asgi = _asgi("ASGIHandler")
starlette = _asgi("Starlette")
