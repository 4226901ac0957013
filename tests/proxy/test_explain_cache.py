"""What `routes explain` says of the cache of a route."""

from __future__ import annotations

import pytest

from meshctl.model.caching import Caching
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.explain import explain

from .lone_proxy import mesh_of

SERVICE = Service("app", (Version("v1", (Endpoint("127.0.0.1", 1),)),))
FRESH = "answered from it where it has a fresh answer, else by the service; the service's answer is kept as that says"


@pytest.mark.parametrize(
    ("method", "headers", "config", "said"),
    [
        ("GET", (), Caching(), f"{FRESH}, for all, up to 1MiB"),
        ("GET", (), Caching(default=60.0), f"{FRESH}, or for 1m where it does not say, for all, up to 1MiB"),
        ("HEAD", (), Caching(),
         "answered from it where it has a fresh answer, else by the service; an answer to HEAD is not kept"),
        ("GET", (("Authorization", "x"),), Caching(),
         'passes by: authorization says who calls, and callers = "anonymous"'),
        ("GET", (("Cookie", "x"),), Caching(callers="each"), f"{FRESH}, for this caller alone, up to 1MiB"),
        ("GET", (("Cookie", "x"),), Caching(callers="all"), f"{FRESH}, for all who may call, up to 1MiB"),
        ("GET", (("Range", "bytes=0-1"),), Caching(), "passes by: range is for the service"),
        ("GET", (("Cache-Control", "no-store"),), Caching(), "passes by: the client says no-store"),
        ("GET", (("Cache-Control", "no-cache"),), Caching(),
         "the service is asked, as the client wants; the service's answer is kept as that says, for all, "
         "up to 1MiB"),
        ("GET", (("Cache-Control", "no-cache"),), Caching(reload=False), f"{FRESH}, for all, up to 1MiB"),
        ("OPTIONS", (), Caching(), "passes by: OPTIONS is never answered from it"),
        ("PUT", (), Caching(), "passes by, and ends what is kept of this URL unless it fails"),
    ],
)  # fmt: skip
def test_said(method: str, headers: tuple[tuple[str, str], ...], config: Caching, said: str) -> None:
    """Whether the request would be answered from what is kept, and if not, why."""
    found = explain(mesh_of(SERVICE, routes=(Route("r", service="app", cache=config),)), method, "/", headers)
    assert f"cache: {said}" in found.policies


def test_nothing_said() -> None:
    """Nothing is said where there is no cache."""
    found = explain(mesh_of(SERVICE, routes=(Route("r", service="app"),)), "GET", "/")
    assert not any(each.startswith("cache") for each in found.policies)
