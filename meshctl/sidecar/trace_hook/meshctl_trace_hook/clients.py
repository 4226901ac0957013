"""What of clients says which trace a call belongs to. A call that says so already is left alone."""

from __future__ import annotations

from meshctl_trace_hook import put, said

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real one takes longer to import than all of this
    from typing import Any

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"


def add_to(headers: Any) -> None:
    """Have a call with these headers, a mapping that takes no notice of case, join the trace."""
    try:
        known = said.get()
        if known is not None and TRACEPARENT not in headers:
            headers[TRACEPARENT] = known[0]
            if known[1] and TRACESTATE not in headers:
                headers[TRACESTATE] = known[1]
    except Exception:
        pass


def http_client(module: Any) -> None:
    """`http.client` and all that stands on it: urllib, urllib3 and so requests, botocore."""
    original = module.HTTPConnection.endheaders

    def endheaders(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            known = said.get()
            if known is not None and not any(line[:12].lower() == b"traceparent:" for line in self._buffer):
                self.putheader(TRACEPARENT, known[0])
                if known[1] and not any(line[:11].lower() == b"tracestate:" for line in self._buffer):
                    self.putheader(TRACESTATE, known[1])
        except Exception:
            pass
        return original(self, *args, **kwargs)

    put(module.HTTPConnection, "endheaders", endheaders, original)


def httpx(module: Any) -> None:
    """httpx, both ways."""
    send, send_async = module.Client.send, module.AsyncClient.send

    def told(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        add_to(request.headers)
        return send(self, request, *args, **kwargs)

    async def told_async(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        add_to(request.headers)
        return await send_async(self, request, *args, **kwargs)

    put(module.Client, "send", told, send)
    put(module.AsyncClient, "send", told_async, send_async)


def aiohttp_client(module: Any) -> None:
    """aiohttp's client."""
    original = module.ClientRequest.update_headers

    def update_headers(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = original(self, *args, **kwargs)
        add_to(self.headers)
        return found

    put(module.ClientRequest, "update_headers", update_headers, original)


def executors(module: Any) -> None:
    """What is done in threads of an executor. asyncio.to_thread and anyio carry the context by themselves."""
    original = module.ThreadPoolExecutor.submit

    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        known = said.get()
        if known is None:
            return original(self, fn, *args, **kwargs)

        def joined(*args: Any, **kwargs: Any) -> Any:
            token = said.set(known)
            try:
                return fn(*args, **kwargs)
            finally:
                said.reset(token)

        return original(self, joined, *args, **kwargs)

    put(module.ThreadPoolExecutor, "submit", submit, original)
