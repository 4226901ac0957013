"""Active health checks: does this endpoint answer? One task for each endpoint that is checked.

A check is a GET of the configured path, or a TCP connection where there is none. What follows from a row of results is
decided by `core.outlier`. Every worker checks for itself, so a crashed one takes no knowledge along.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from meshctl import clock
from meshctl.model.policy import HealthCheck
from meshctl.model.service import Endpoint
from meshctl.wire.message import Malformed, Response
from meshctl.wire.response_reader import ResponseReader

if TYPE_CHECKING:
    from meshctl.proxy.endpoint import LiveEndpoint

READ: Final = 65_536
MOST: Final = 65_536
"""The bytes of an answer, and a read more, after which no more of it is read."""


class Probed(Protocol):
    """What can be checked."""

    config: Endpoint

    async def open_stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own for the check. Raises OSError."""


class _StatusReader(ResponseReader):
    """Reads a response for its status, and knows when it is over."""

    status = 0
    is_over = False

    def on_response(self, response: Response) -> None:
        self.status = response.status

    def on_informational(self, response: Response) -> None:
        """Interim answers say nothing about health."""

    def on_body(self, data: bytes) -> None:
        """The body does not matter."""

    def on_message_complete(self) -> None:
        self.is_over = True


async def probe_forever(endpoint: LiveEndpoint) -> None:
    """Check `endpoint` at its interval until cancelled, the first time at once."""
    while (check := endpoint.check) is not None:
        problem = await probe(endpoint, check)
        endpoint.checked(problem)
        # Up to a tenth earlier or later, so that the checks of many endpoints do not march in step.
        await asyncio.sleep(check.interval * (0.9 + 0.2 * clock.draw()))


async def probe(endpoint: Probed, check: HealthCheck) -> str:
    """One check: "" when it passes, else what was wrong."""
    answer = _StatusReader()
    try:
        async with asyncio.timeout(check.timeout):
            if check.path is None:
                _, writer = await endpoint.open_stream()
                writer.close()
                return ""
            await _get(endpoint, check, answer)
    except TimeoutError:
        # What is late is the rest, where there is a status.
        if not answer.status:
            return f"no answer within {check.timeout:g}s"
    except (OSError, Malformed) as error:
        if not answer.status:
            # Without the system's number: it is people who read it.
            problem = getattr(error, "strerror", "") or str(error) or type(error).__name__
            return problem[:1].lower() + problem[1:]
    finally:
        answer.end_reading()
    low, high = check.statuses
    return "" if low <= answer.status <= high else f"status {answer.status}"


async def _get(endpoint: Probed, check: HealthCheck, answer: _StatusReader) -> None:
    """Ask, and read the answer to its end: who left in the middle would be counted by the service's own sidecar."""
    reader, writer = await endpoint.open_stream()
    try:
        host = check.host or ("localhost" if endpoint.config.unix else endpoint.config.address)
        writer.write(
            b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: meshctl-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            % ((check.path or "/").encode(), host.encode())
        )
        size = 0
        while not answer.is_over and size <= MOST:
            data = await reader.read(READ)
            size += len(data)
            if not data:
                break
            answer.feed(data)
        if not answer.status:
            raise Malformed("upstream_protocol", "the connection was closed before the answer")
    finally:
        writer.transport.abort()
