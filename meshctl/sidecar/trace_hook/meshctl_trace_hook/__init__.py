"""What joins the outgoing calls of a wrapped Python app to the trace of the request they are made for, without a change
to the app: servers note what a request says of its trace in a context variable, clients pass that on.

It runs in the app's Python (3.8 and newer), so it imports nothing but the standard library, and of that only what costs
nothing: a server or client is touched when the app imports it, and not before. Whatever fails here fails in silence: a
trace is nothing to break an app for.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real one takes longer to import than all of this
    from typing import Any

HOOKS = {
    "http.server": ("servers", "http_server"),
    "gunicorn.http.wsgi": ("servers", "gunicorn"),
    "waitress.task": ("servers", "waitress"),
    "flask.app": ("servers", "flask"),
    "django.core.handlers.wsgi": ("servers", "django_wsgi"),
    "django.core.handlers.asgi": ("servers", "django_asgi"),
    "starlette.applications": ("servers", "starlette"),
    "uvicorn.protocols.http.h11_impl": ("servers", "uvicorn"),
    "uvicorn.protocols.http.httptools_impl": ("servers", "uvicorn"),
    "aiohttp.web_app": ("servers", "aiohttp_server"),
    "http.client": ("clients", "http_client"),
    "httpx._client": ("clients", "httpx"),
    "aiohttp.client_reqrep": ("clients", "aiohttp_client"),
    "concurrent.futures.thread": ("clients", "executors"),
}
"""Which module is touched, and by what of ours, once the app has imported it."""

said: ContextVar[tuple[str, str] | None] = ContextVar("meshctl_trace", default=None)
"""What the request that is being answered here says of its trace: its traceparent, and its tracestate or ""."""


class Finder:
    """Finds the modules of `HOOKS` as everybody else would, and has them touched once they have run."""

    def __init__(self) -> None:
        self._looking: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """See `importlib.abc.MetaPathFinder`."""
        if name not in HOOKS or name in self._looking:
            return None
        self._looking.add(name)
        try:
            spec = _found(self, name, path, target)
            if spec is not None and hasattr(spec.loader, "exec_module"):
                _touch_after(spec.loader, name)
            return spec
        except Exception:
            return None
        finally:
            self._looking.discard(name)


def install() -> None:
    """Touch what is imported from now on, and what already was."""
    for name in HOOKS:
        if name in sys.modules:
            _touch(sys.modules[name])
    sys.meta_path.insert(0, Finder())


def _found(finder: Finder, name: str, path: Any, target: Any) -> Any:
    for each in sys.meta_path:
        find = getattr(each, "find_spec", None) if each is not finder else None
        spec = find(name, path, target) if find is not None else None
        if spec is not None:
            return spec
    return None


def _touch_after(loader: Any, name: str) -> None:
    run = loader.exec_module

    def exec_module(module: Any) -> None:
        run(module)
        if module.__name__ == name:
            _touch(module)

    loader.exec_module = exec_module


def _touch(module: Any) -> None:
    try:
        where, function = HOOKS[module.__name__]
        # Only now: most apps need few of them.
        ours = __import__(f"{__name__}.{where}", fromlist=[function])
        getattr(ours, function)(module)
    except Exception:
        pass


def put(owner: Any, name: str, new: Any, original: Any) -> None:
    """Have `new` stand in the place of `original`, and look like it."""
    for each in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(new, each, getattr(original, each, None))
    new.__wrapped__ = original
    setattr(owner, name, new)
