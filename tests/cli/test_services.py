"""Which proxies have something to tell of a service."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshctl.cli.services import is_uneventful
from meshctl.model.views import BreakerView, EndpointView, LimitView, ServiceView

IDLE = ServiceView(
    "orders", "random", (), (EndpointView("a:1", "v1", 1.0, "healthy"), EndpointView("b:1", "v2", 1.0, "unknown"))
)


def with_endpoint(**told: Any) -> ServiceView:
    """The service, with an endpoint more."""
    more = msgspec.structs.replace(EndpointView("c:1", "v1", 1.0, "healthy"), **told)
    return msgspec.structs.replace(IDLE, endpoints=(*IDLE.endpoints, more))


def test_who_sent_nothing_has_nothing_to_tell() -> None:
    """A proxy that sent a service no request and finds nothing wrong need not be shown beside others."""
    assert is_uneventful(IDLE)
    assert is_uneventful(msgspec.structs.replace(IDLE, breaker=BreakerView("closed"), limit=LimitView(3)))


@pytest.mark.parametrize(
    "eventful",
    [
        with_endpoint(requests=1),
        with_endpoint(in_flight=1),
        with_endpoint(state="unhealthy"),
        with_endpoint(state="ejected"),
        with_endpoint(state="ramping", reason="was ejected"),
        msgspec.structs.replace(IDLE, breaker=BreakerView("open")),
        msgspec.structs.replace(IDLE, limit=LimitView(3, waiting=1)),
    ],
)
def test_what_is_told(eventful: ServiceView) -> None:
    """Requests, and whatever keeps requests from an endpoint, are never left out."""
    assert not is_uneventful(eventful)
