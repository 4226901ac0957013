"""What a refusal must look like, wherever it is given."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .running import Gateway
from .upstream import OK, Upstream
from .wire import PATIENCE, Message, Wire


def read_refusal(client: Wire, status: int, reason: str, *, method: str = "GET") -> Message:
    """Reads a refusal and holds it to the contract: its status, its reason, and a problem that names its request."""
    answer = client.read_response(method=method)
    assert (answer.status, answer.get("x-meshctl-reason")) == (status, reason.encode())
    assert answer.get("content-type") == b"application/problem+json"
    date = parsedate_to_datetime((answer.get("date") or b"").decode())
    assert abs((datetime.now(UTC) - date).total_seconds()) < PATIENCE
    if method != "HEAD":
        problem = json.loads(answer.body)
        assert (problem["status"], problem["reason"]) == (status, reason)
        assert problem["title"]
        assert problem["detail"]
        assert problem["request_id"].encode() == answer.get("x-request-id")
    return answer


def is_refused(client: Wire, status: int, reason: str) -> None:
    """The next answer is this refusal, and it is the last one: the connection ends in order."""
    answer = read_refusal(client, status, reason)
    assert answer.get("connection") == b"close"
    assert client.read_to_end() == b""


def is_unseen(gateway: Gateway, upstream: Upstream) -> None:
    """Nothing went to the service before the request sent now: it is the first thing that the service hears."""
    with gateway.connect() as client:
        client.send(upstream.get(b"/sentinel"))
        wire = upstream.hear()
        assert wire.read_request().target == b"/sentinel"
        wire.send(OK)
        assert client.read_response().body == b"ok"
    # A connection may have been opened for what was then refused, but it brought nothing.
    assert upstream.is_silent()
