"""One answer made of several requests: the parts of a route are asked for at once, or as soon as what they need of each
other is known, and merged into one document.

    filter ──▶ begin ──▶ ask … ask ──▶ on_ended … on_ended ──▶ the whole: 200, and what is missing is named
                                              └──▶ one that is needed failed: its status, and the others are called off

Each is an exchange like any other from `split` on, whose client takes notes: it has its service's split, balancer,
breaker and retries, its own line in the access log, and its own counts. Loaded with the first such route.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshctl import clock
from meshctl.core.assembly import BAD_GATEWAY, Gap, assembled, missing, whole_status
from meshctl.core.json_edits import decode, encode
from meshctl.core.part_target import Lacking, look
from meshctl.core.template import PART, Variable
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.filters.reply import refusal
from meshctl.proxy.silent import Noting
from meshctl.proxy.timers import NEVER
from meshctl.wire.dates import date_line
from meshctl.wire.fields import Fields, make
from meshctl.wire.message import Request, Response
from meshctl.wire.reasons import CLIENT_GONE_STATUS, reason_told, status_of

if TYPE_CHECKING:
    from meshctl.proxy.planning import Plan, Step

MISSING: Final = "X-Meshctl-Missing"
"""The field that names the parts without which an answer is."""

_KEPT: Final = (b"user-agent", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"via")
"""What parts are told of whom they are for, as other services are."""
_ABOUT_WAITING: Final = (b"retry-after", b"www-authenticate")
"""What goes on of the answer to a part because of which there is no whole."""


class PartRequest(Request):
    """What is asked for a part. What decides where it goes (a key, a header that asks for a version) is read off the
    request of the whole, whether or not it goes on."""

    __slots__ = ("_whole",)

    def __init__(self, exchange: Exchange, fields: Fields, path: str, query: str | None) -> None:
        whole = exchange.request
        super().__init__(fields, {name: whole.special[name] for name in _KEPT if name in whole.special})
        self._whole = whole
        self.method = "GET"
        self.path, self.query_string = path, query
        self.target_text = path if query is None else f"{path}?{query}"
        self.target = self.target_text.encode("ascii")
        self.host, self.authority = whole.host, whole.authority
        self.request_id, self.traceparent = exchange.request_id, exchange.context
        self.is_normal = self.keep_alive = True
        claims = getattr(whole, "claims", None)
        if claims is not None:
            self.claims = claims

    def header(self, name: str) -> str | None:
        """See `Request.header`."""
        found = super().header(name)
        return self._whole.header(name) if found is None else found


class Listener(Noting):
    """The client of a part."""

    def __init__(self, whole: Assembly, step: Step, original: Exchange) -> None:
        super().__init__(original.stream)
        self._whole = whole
        self._step = step

    def done(self, now: float) -> None:
        """See `stream.Stream`."""
        self._whole.on_ended(self._step, self)


class Assembly:
    """The parts of one exchange, under way."""

    def __init__(self, exchange: Exchange, plan: Plan) -> None:
        self._exchange = exchange
        self._plan = plan
        self._waiting = list(plan.steps)
        self._running: dict[str, Exchange] = {}
        self._ended: dict[str, str] = {}
        """What came of each, for the access log."""
        self._answers: dict[str, Any] = {}
        """What others need values of: as it was answered, or the default."""
        self._results: dict[str, Any] = {}
        self._gaps: dict[str, Gap] = {}
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Assembly {len(self._running)} running, {len(self._waiting)} waiting, {self._ended}>"

    def begin(self) -> None:
        """Ask for all that needs nothing of others."""
        exchange = self._exchange
        exchange.made_of = self._ended
        # However the exchange ends meanwhile, it lets go of what it waits for.
        exchange.release = self._call_off  # type: ignore[method-assign]
        # The parts have its deadline. When that comes, what is there can still be answered with.
        exchange.deadline = NEVER
        exchange.worker.exchanges.watch(exchange)
        self._go_on()

    def _go_on(self) -> None:
        while not self._is_over:
            step = next((each for each in self._waiting if each.needs <= self._ended.keys()), None)
            if step is None:
                break
            self._waiting.remove(step)
            self._ask(step)
        if not (self._is_over or self._waiting or self._running):
            self._answer()

    def _ask(self, step: Step) -> None:
        whole = self._exchange
        now = clock.monotonic()
        if now >= whole.total_deadline:
            self._failed(step, whole.total_reason, "there was no time left for it", status_of(whole.total_reason))
            return
        try:
            path, query = step.target.fill(lambda variable: self._value(step, variable))
        except Lacking as error:
            # What the client sent is wrong, or what a part was answered with.
            status = BAD_GATEWAY if error.variable.kind in (PART, "claim") else 400
            self._failed(step, "part_value_missing", str(error), status)
            return
        request = PartRequest(whole, self._plan.fields(whole, step), path, query)
        part = self._running[step.name] = self._exchange_for(step, request)
        whole.worker.counters.in_flight += 1
        part.proceed()

    def _exchange_for(self, step: Step, request: PartRequest) -> Exchange:
        whole = self._exchange
        part = Exchange(whole.worker, Listener(self, step, whole), request)
        part.snapshot = whole.snapshot
        part.identify()
        part.principal, part.user = whole.principal, whole.user
        part.path, part.is_verbatim = request.path, True
        part.route, part.service = step.route, step.route.service
        until = part.started + step.timeout if step.timeout else NEVER
        if whole.total_deadline < until:
            # Nobody is to blame for what only the whole had no time for.
            until, part.total_reason, part.is_hurried = whole.total_deadline, "deadline_exceeded", True
        part.total_deadline = part.until = until
        return part

    def _value(self, step: Step, variable: Variable) -> str | None:
        if variable.kind != PART:
            return step.values[variable](self._exchange)
        name, _, place = variable.name.partition(".")
        return look(self._answers.get(name), place.split("."))

    # what came of them

    def on_ended(self, step: Step, listener: Listener) -> None:
        """A part is over."""
        if self._is_over:
            return
        part = self._running.pop(step.name)
        status, reason = part.status, self._reason(part)
        if reason:
            self._failed(step, reason, _detail(listener.body, reason), status, listener.fields)
        elif not 200 <= status < 300:
            # Another proxy of the mesh that answers itself says why.
            why = reason_told(listener.fields) or f"status_{status}"
            detail = f'service "{step.route.config.service}" answered {status}'
            self._failed(step, why, detail, status, listener.fields)
        else:
            self._take(step, status, listener)
        self._go_on()

    def _take(self, step: Step, status: int, listener: Listener) -> None:
        try:
            document = decode(bytes(listener.body))
            if not step.group and not isinstance(document, dict):
                raise ValueError("is no object, whose members could be merged")
        except ValueError as error:
            self._failed(step, "response_unreadable", f"its answer {error}", BAD_GATEWAY)
            return
        if step.name in self._plan.needed:
            # What others need of it is what it said, not what is made of that.
            self._answers[step.name] = decode(bytes(listener.body))
        self._ended[step.name] = str(status)
        self._results[step.name] = step.edits.apply(document)

    def _reason(self, part: Exchange) -> str:
        """Why the proxy ended a part; "" where it was answered."""
        if part.reason == "route_timeout":
            return "part_timeout"
        return self._exchange.total_reason if part.reason == "deadline_exceeded" else part.reason

    def _failed(self, step: Step, why: str, detail: str, status: int, fields: Sequence[bytes] = ()) -> None:
        self._ended[step.name] = why
        if step.need == "required":
            self._refuse(step, why, detail, whole_status(status), fields)
            return
        is_filled = step.need == "default"
        self._gaps[step.name] = Gap(step.name, why, is_filled)
        if is_filled:
            self._answers[step.name] = self._results[step.name] = step.default

    # the end

    def _answer(self) -> None:
        exchange = self._exchange
        self._end("")
        steps = [each for each in self._plan.steps if each.name in self._results]
        body = encode(assembled((each.group, self._results[each.name]) for each in steps))
        now = clock.monotonic()
        fields = [*make("Content-Type", "application/json"), date_line(int(clock.wall()))]
        if self._gaps:
            gaps = [self._gaps[each.name] for each in self._plan.steps if each.name in self._gaps]
            # The next one may have everything.
            fields += make(MISSING, missing(gaps), "Cache-Control", "no-store")
        response = Response(200, fields, {})
        response.length = len(body)
        response.has_body = exchange.request.method != "HEAD"
        exchange.status = 200
        exchange.head_after = now - exchange.started
        exchange.answer(response)
        if response.has_body and not exchange.finished:
            exchange.on_response_body(body)
        exchange.on_response_end([], now)

    def _refuse(self, step: Step, why: str, detail: str, status: int, fields: Sequence[bytes]) -> None:
        exchange, reason = self._exchange, f"part_failed:{step.name}"
        self._end("part_called_off")
        more = {"part": step.name, "part_reason": why}
        answer = refusal(exchange, reason, f'part "{step.name}": {detail}', status=status, more=more)
        if status in (401, 429, 503):
            answer.fields.extend(line for line in fields if line[: line.index(b":")].lower() in _ABOUT_WAITING)
        exchange.reply_with(answer)

    def _call_off(self) -> None:
        """The exchange ends without an answer of ours: its client has left, or its time is over."""
        self._end(self._exchange.reason or "part_called_off")

    def _end(self, why: str) -> None:
        """Nothing more is waited for."""
        if self._is_over:
            return
        self._is_over = True
        vars(self._exchange).pop("release", None)
        for step in self._waiting:
            self._ended[step.name] = why
        for name, part in self._running.items():
            self._ended[name] = part.reason = why
            part.status = part.status or CLIENT_GONE_STATUS
            part.release()
            part.finish(clock.monotonic())
        self._waiting.clear()
        self._running.clear()


class _Problem(msgspec.Struct):
    detail: str = ""


def _detail(body: bytearray, reason: str) -> str:
    """What a refusal of our own says."""
    try:
        return msgspec.json.decode(body, type=_Problem).detail
    except msgspec.DecodeError:
        return reason
