"""What a worker writes down: every finished exchange and every refusal, in the counters and in the access log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from meshctl import clock
from meshctl.model.mesh import AccessLog as AccessLogConfig
from meshctl.observe.access_line import Line
from meshctl.observe.access_log import AccessLog, open_access_log
from meshctl.observe.counters import Counters
from meshctl.observe.sample import encode

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.wire.message import Request


class Origin(Protocol):
    """Where what was refused came from, and to which listener."""

    client: str
    listener: str


class Ledger:
    """The counters and the access log of one worker."""

    def __init__(self) -> None:
        self.counters = Counters()
        self._config = AccessLogConfig(path="off")
        self._log: AccessLog | None = None
        self._dropped_before = 0
        self._wall_offset = 0.0
        self.set_clock()

    def __repr__(self) -> str:
        return f"<Ledger {self.counters!r} {self._log!r}>"

    def record(self, exchange: Exchange, now: float) -> None:
        """Count and log a finished exchange."""
        counters = self.counters
        counters.in_flight -= 1
        route = exchange.route
        if route is None:
            series = counters.series("")
        else:
            series = route.series[exchange.version.name if exchange.version is not None else ""]
        seconds = now - exchange.started
        if exchange.stream.peer:
            series = series.of(exchange.stream.peer)
        series.record(exchange.status, seconds, exchange.received, exchange.sent, exchange.reason)
        log = self._log
        if log is None:
            return
        request = exchange.request
        stream = exchange.stream
        endpoint = exchange.endpoint
        route_name, service, version = series.key
        # By position: names would cost a tenth more. Milliseconds are cut to three digits.
        log.append(
            Line(
                log.stamp(exchange.started + self._wall_offset),
                exchange.request_id.decode(),
                exchange.traceparent[3:35].decode(),
                stream.client,
                request.method,
                request.host,
                request.target_text,
                exchange.status,
                exchange.reason,
                route_name,
                service,
                version,
                endpoint.address if endpoint is not None else "",
                seconds * 1e6 // 1 / 1000,
                exchange.head_after * 1e6 // 1 / 1000,
                exchange.received,
                exchange.sent,
                "HTTP/1.1" if not request.is_http10 else _older(request),
                request.special.get(b"user-agent", b"").decode("latin-1"),
                exchange.attempt,
                stream.listener,
                exchange.user,
                exchange.cached,
                exchange.made_of,
            )
        )

    def record_refusal(
        self, client: Origin, reason: str, status: int, request_id: bytes, sent: int, host: str = ""
    ) -> None:
        """Count and log what was refused before it was a request, to `host` where that was said."""
        self.counters.refuse(reason)
        if self._log is not None:
            nothing = ("", "", "", "")
            self._log.append(Line(
                self._log.stamp(clock.wall()), request_id.decode(), "", client.client, "", host, "", status, reason,
                *nothing, 0.0, 0.0, 0, sent, "HTTP/1.1", "", 0, client.listener,
            ))  # fmt: skip

    def set_clock(self) -> None:
        """Compare the clocks: what makes a wall clock's time of a monotonic one changes when the former is set."""
        self._wall_offset = clock.wall() - clock.monotonic()

    def configure(self, config: AccessLogConfig) -> str:
        """Log as `config` says from now on; "" or why that cannot be, and then lines are lost until it can."""
        if config == self._config:
            return ""
        self.close()
        self._config = config
        self._log = open_access_log(config)
        return "" if self._log is None else self._log.problem

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._log is not None:
            self._log.flush()

    def reopen(self) -> None:
        """The log file was rotated."""
        if self._log is not None:
            self._log.reopen()

    def sample(self) -> bytes:
        """What was counted so far, for the supervisor."""
        self.counters.log_dropped = self._dropped_before + (self._log.dropped if self._log is not None else 0)
        return encode(self.counters.export())

    def close(self) -> None:
        """Write what is left to write, and no more."""
        if self._log is not None:
            self._log.close()
            self._dropped_before += self._log.dropped
            self._log = None


def _older(request: Request) -> str:
    return "TCP" if request.method == "TCP" else "HTTP/1.0"
