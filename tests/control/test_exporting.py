"""Spans on their way to receivers that are well, away, slow, choosy, or refuse."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from meshctl.control import exporting, otlp
from meshctl.control.exporting import Exporting
from meshctl.control.fleet import Fleet
from meshctl.model.mesh import Mesh
from meshctl.model.tracing import Span, Traced, Tracing
from meshctl.model.views import ProxyRecord
from meshctl.observe.sample import Sample

PATIENCE = 60.0


def span(number: int) -> Span:
    """A span like any other."""
    return Span("1" * 32, f"{number:016x}", "", "", "GET", True, 1, 2, False, {"url.path": "/"})


class Receiver:
    """A receiver that does what it is told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        """What it answers next; 200 from there on."""
        self.rejects = 0
        self.held: asyncio.Event | None = None
        self.batches: list[list[str]] = []
        self.asked = 0
        self.headers: dict[str, str] = {}
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        """The answer to a batch."""
        self.asked += 1
        self.headers = dict(request.headers)
        if self.held is not None:
            await self.held.wait()
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        told = ExportTraceServiceRequest.FromString(await request.read())
        self.batches.append([each.span_id.hex() for each in told.resource_spans[0].scope_spans[0].spans])
        said = ExportTraceServiceResponse()
        said.partial_success.rejected_spans = self.rejects
        return web.Response(body=said.SerializeToString(), content_type="application/x-protobuf")


class Case:
    """An exporter, its receiver, and what is counted."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.fleet = Fleet(asyncio.get_running_loop(), 0)
        self.exporting = Exporting(self.fleet, ProxyRecord("gateway", "gateway", 1, 0.0, "/s", service="gateway"))

    def ask(self, **settings: Any) -> None:
        """Have it tell the receiver."""
        self.exporting.adopt(Mesh(name="shop", tracing=Tracing(**{"endpoint": self.receiver.url} | settings)))

    def tell(self, *numbers: int, dropped: int = 0) -> None:
        """A worker tells of spans."""
        self.fleet.on[Traced](Traced(tuple(map(span, numbers)), dropped))

    @property
    def counted(self) -> tuple[int, int]:
        """How many spans were exported, and how many dropped."""
        sample: Sample = self.fleet.totals.merged()
        return sample.spans_exported, sample.spans_dropped

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return when it is so."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def exported() -> AsyncIterator[Case]:
    """An exporter beside a receiver on loopback."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/v1/traces", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    case = Case(receiver)
    try:
        yield case
    finally:
        if receiver.held is not None:
            receiver.held.set()
        await case.exporting.close()
        await runner.cleanup()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for more spans, or long for the next try; last words may take as long as a busy machine needs."""
    monkeypatch.setattr(exporting, "LAST_WORDS", PATIENCE)
    monkeypatch.setattr(otlp, "TIMEOUT", PATIENCE)
    monkeypatch.setattr(exporting, "EVERY", 0.01)
    monkeypatch.setattr(exporting, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(exporting, "LONGEST_PAUSE", 0.01)


async def batches() -> None:
    """What workers tell comes in their order, in batches; what they could not keep is counted."""
    async with exported() as case:
        case.ask()
        case.tell(*range(1, 701), dropped=5)
        await case.until(lambda: case.counted == (700, 5))
        assert [len(each) for each in case.receiver.batches] == [512, 188]
        assert [each for batch in case.receiver.batches for each in batch] == [
            f"{number:016x}" for number in range(1, 701)
        ]
        case.tell(701)
        await case.until(lambda: case.counted == (701, 5))


async def again() -> None:
    """A batch is told again where that may help, and dropped where it does not."""
    async with exported() as case:
        case.ask()
        case.receiver.statuses = [503, 429]
        case.tell(1)
        await case.until(lambda: case.counted == (1, 0))
        assert case.receiver.asked == 3
        case.receiver.statuses = [400]
        case.tell(2)
        await case.until(lambda: case.counted == (1, 1))
        assert case.receiver.asked == 4
        case.receiver.statuses = [502] * exporting.TRIES
        case.tell(3)
        await case.until(lambda: case.counted == (1, 2))
        case.tell(4)
        await case.until(lambda: case.counted == (2, 2))


async def choosy() -> None:
    """Spans that the receiver says it did not want are dropped ones."""
    async with exported() as case:
        case.ask()
        case.receiver.rejects = 2
        case.tell(1, 2, 3)
        await case.until(lambda: case.counted == (1, 2))


async def slow() -> None:
    """While a receiver takes its time what waits is bounded; the rest is counted at once."""
    async with exported() as case:
        case.ask()
        case.receiver.held = asyncio.Event()
        case.tell(1)
        await case.until(lambda: case.receiver.asked == 1)
        case.tell(*range(exporting.MOST + 100))
        assert case.counted == (0, 101)
        case.receiver.held.set()
        await case.until(lambda: case.counted == (exporting.MOST, 101))


async def away() -> None:
    """Where nobody listens all is dropped and counted, and told once."""
    async with exported() as case:
        case.exporting.adopt(Mesh(tracing=Tracing("http://127.0.0.1:1")))
        case.tell(1, 2)
        await case.until(lambda: case.counted == (0, 2))
        case.ask()
        case.tell(3)
        await case.until(lambda: case.counted == (1, 2))
        case.exporting.adopt(Mesh())
        case.tell(4)
        assert case.counted == (1, 3)


async def last_words() -> None:
    """What waits when the proxy ends is told before."""
    async with exported() as case:
        case.ask()
        case.tell(1)
        await case.exporting.close()
        assert case.counted == (1, 0)


@pytest.mark.parametrize("case", [batches, again, choosy, slow, away, last_words])
def test_exporting(case: Callable[[], Any]) -> None:
    """See each case."""
    asyncio.run(case())


def test_headers(tmp_path: Path) -> None:
    """The receiver gets the fields of the file, which is read when the configuration begins to hold."""
    file = tmp_path / "headers"
    file.write_text("# a token\nAuthorization: Bearer x y\n")

    async def told() -> None:
        async with exported() as case:
            case.ask(headers_file=str(file), service_name="edge")
            case.tell(1)
            await case.until(lambda: case.counted == (1, 0))
            assert case.receiver.headers["Authorization"] == "Bearer x y"
            case.ask(headers_file=str(tmp_path / "none"))
            await case.until(lambda: case.exporting._task is None)
            case.tell(2)
            assert case.counted == (1, 1)

    asyncio.run(told())


def test_a_file_of_fields_that_comes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that could not be read is read when it can be, without another configuration."""
    monkeypatch.setattr(exporting, "AGAIN", 0.05)

    async def told() -> None:
        async with exported() as case:
            file = tmp_path / "fields"
            case.ask(headers_file=str(file))
            await case.until(lambda: case.exporting._task is None)
            file.write_text("authorization: Bearer x y\n")
            await case.until(lambda: case.exporting._task is not None and not case.exporting._obstacle)
            case.tell(1)
            await case.until(lambda: case.counted == (1, 0))

    asyncio.run(told())


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where OpenTelemetry is not installed, what to install is told once, and spans are dropped until it is."""
    monkeypatch.setattr(exporting, "AGAIN", 0.05)
    monkeypatch.delitem(sys.modules, "meshctl.control.otlp")
    monkeypatch.delattr(sys.modules["meshctl.control"], "otlp")
    missing = {name: each for name, each in sys.modules.items() if name.startswith("opentelemetry")}
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)

    async def told() -> None:
        async with exported() as case:
            case.ask()
            looked: list[object] = []
            await case.until(lambda: look(case, looked) >= 3)
            case.tell(1)
            assert case.counted == (0, 1)
            for name in missing:
                monkeypatch.setitem(sys.modules, name, missing[name])
            await case.until(lambda: not case.exporting._obstacle)
            case.tell(2)
            await case.until(lambda: case.counted == (1, 1))

    def look(case: Case, looked: list[object]) -> int:
        """How often it has been looked in vain."""
        again = case.exporting._again
        if again is not None and again not in looked and case.exporting._task is None:
            looked.append(again)
        return len(looked)

    asyncio.run(told())
    assert caplog.text.count("tracing_library_missing") == 1


def test_what_is_said() -> None:
    """A span becomes what OpenTelemetry calls so, text and numbers each in their kind."""
    made = Span("ab" * 16, "cd" * 8, "ef" * 8, "a=1", "GET /", True, 5, 7, True, {"n": 404, "s": "é"})
    resource = ExportTraceServiceRequest.FromString(otlp.encode([made], {"service.name": "x"})).resource_spans[0]
    (found,) = resource.scope_spans[0].spans
    assert (found.trace_id.hex(), found.span_id.hex(), found.parent_span_id.hex()) == ("ab" * 16, "cd" * 8, "ef" * 8)
    assert (found.kind, found.status.code, found.trace_state, found.flags) == (2, 2, "a=1", 0x301)
    assert (found.start_time_unix_nano, found.end_time_unix_nano) == (5, 7)
    values = {each.key: each.value for each in found.attributes}
    assert (values["n"].int_value, values["s"].string_value) == (404, "é")
    assert resource.resource.attributes[0].key == "service.name"
    assert otlp.rejected(b"\xff\xff") == 0
