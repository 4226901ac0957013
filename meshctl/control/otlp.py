"""Spans on their way to a receiver: OTLP over HTTP in OpenTelemetry's own messages. Loads these and aiohttp; keeps
nothing but a connection, and decides nothing about what is sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from meshctl import __version__
from meshctl.model.tracing import Span

TIMEOUT: Final = 10.0
"""Seconds for one batch, from the name's address to the last byte of the answer."""
LARGEST: Final = 65_536
"""Bytes of an answer that are read."""

_TYPE: Final = "application/x-protobuf"
_AGAIN: Final = frozenset({429, 502, 503, 504})
_SERVER, _CLIENT, _ERROR = 2, 3, 2
_SAMPLED, _IS_KNOWN, _IS_REMOTE = 0x01, 0x100, 0x200


class Refused(Exception):  # noqa: N818 - what the receiver did
    """The receiver has not taken a batch; says why. `may_retry` where it may take it later, after `pause` seconds if
    it said so."""

    def __init__(self, why: str, *, may_retry: bool, pause: float = 0.0) -> None:
        super().__init__(why)
        self.may_retry = may_retry
        self.pause = pause


class Receiver:
    """Where spans are told, and who tells them (`resource`). `fields` are headers that it wants."""

    def __init__(self, url: str, resource: Mapping[str, str | int], fields: Sequence[tuple[str, str]]) -> None:
        self.url = url
        self._resource = resource
        own = [("Content-Type", _TYPE), ("User-Agent", f"meshctl/{__version__}"), ("Accept-Encoding", "identity")]
        self._session = ClientSession(
            timeout=ClientTimeout(total=TIMEOUT), trust_env=True, auto_decompress=False, headers=[*fields, *own]
        )

    def __repr__(self) -> str:
        return f"<Receiver {self.url}>"

    async def send(self, spans: Sequence[Span]) -> int:
        """Tell of these; how many of them the receiver did not want. Raises Refused."""
        body = encode(spans, self._resource)
        try:
            async with self._session.post(self.url, data=body, allow_redirects=False) as answer:
                said = await answer.content.read(LARGEST)
                if answer.status // 100 != 2:
                    pause = answer.headers.get("Retry-After", "")
                    raise Refused(
                        f"{self.url} answers {answer.status}",
                        may_retry=answer.status in _AGAIN,
                        pause=float(pause) if pause.isdecimal() and len(pause) < 6 else 0.0,
                    )
                return rejected(said) if answer.content_type == _TYPE else 0
        except TimeoutError as error:
            raise Refused(f"no answer within {TIMEOUT:g}s", may_retry=True) from error
        except (ClientError, OSError, ValueError) as error:
            raise Refused(" ".join(str(error).split()) or type(error).__name__, may_retry=True) from error

    async def close(self) -> None:
        """Let go of the connection."""
        await self._session.close()


def encode(spans: Sequence[Span], resource: Mapping[str, str | int]) -> bytes:
    """A request to the receiver with all of these."""
    request = ExportTraceServiceRequest()
    told = request.resource_spans.add()
    _put(told.resource.attributes, resource)
    scope = told.scope_spans.add()
    scope.scope.name, scope.scope.version = "meshctl", __version__
    for span in spans:
        made = scope.spans.add(
            trace_id=bytes.fromhex(span.trace),
            span_id=bytes.fromhex(span.id),
            parent_span_id=bytes.fromhex(span.parent),
            trace_state=span.state,
            name=span.name,
            kind=_SERVER if span.is_server else _CLIENT,
            start_time_unix_nano=span.start,
            end_time_unix_nano=span.end,
            flags=_SAMPLED | _IS_KNOWN | (_IS_REMOTE if span.is_server and span.parent else 0),
        )
        _put(made.attributes, span.attributes)
        if span.failed:
            made.status.code = _ERROR
    return bytes(request.SerializeToString())


def rejected(answer: bytes) -> int:
    """How many spans the receiver says it did not want; none where its words are not understood."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return int(ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans)
    except DecodeError:
        return 0


def _put(attributes: Any, values: Mapping[str, str | int]) -> None:
    for name, value in values.items():
        made = attributes.add(key=name)
        if isinstance(value, int):
            made.value.int_value = value
        else:
            # What a client sent is Latin-1 to us and may be anything; protobuf takes what is UTF-8, which all of it is.
            made.value.string_value = value
