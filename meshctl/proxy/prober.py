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
MOST_HEAD: Final = 65_536


class Probed(Protocol):
    """What can be checked."""

    config: Endpoint

    async def open_stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own for the check. Raises OSError."""


class _StatusReader(ResponseReader):
    """Reads as far as a response's status."""

    status = 0

    def on_response(self, response: Response) -> None:
        self.status = response.status

    def on_informational(self, response: Response) -> None:
        """Interim answers say nothing about health."""

    def on_body(self, data: bytes) -> None:
        """The body does not matter."""

    def on_message_complete(self) -> None:
        """Nor does its end."""


async def probe_forever(endpoint: LiveEndpoint) -> None:
    """Check `endpoint` at its interval until cancelled, the first time at once."""
    while (check := endpoint.check) is not None:
        problem = await probe(endpoint, check)
        endpoint.checked(problem)
        # Up to a tenth earlier or later, so that the checks of many endpoints do not march in step.
        await asyncio.sleep(check.interval * (0.9 + 0.2 * clock.draw()))


async def probe(endpoint: Probed, check: HealthCheck) -> str:
    """One check: "" when it passes, else what was wrong."""
    try:
        async with asyncio.timeout(check.timeout):
            if check.path is None:
                _, writer = await endpoint.open_stream()
                writer.close()
                return ""
            status = await _get(endpoint, check)
    except TimeoutError:
        return f"no answer within {check.timeout:g}s"
    except (OSError, Malformed) as error:
        return str(error) or type(error).__name__
    low, high = check.statuses
    return "" if low <= status <= high else f"status {status}"


async def _get(endpoint: Probed, check: HealthCheck) -> int:
    reader, writer = await endpoint.open_stream()
    try:
        host = check.host or ("localhost" if endpoint.config.unix else endpoint.config.address)
        writer.write(
            b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: meshctl-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            % ((check.path or "/").encode(), host.encode())
        )
        answer = _StatusReader()
        size = 0
        while not answer.status:
            data = await reader.read(READ)
            size += len(data)
            if not data or size > MOST_HEAD:
                raise Malformed("upstream_protocol", "the connection was closed before the answer")
            answer.feed(data)
        return answer.status
    finally:
        writer.transport.abort()
