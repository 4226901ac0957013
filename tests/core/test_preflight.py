"""Which requests are preflights, and what is known of the request they are about."""

from __future__ import annotations

import pytest

from meshctl.core.preflight import Asked, method_asked

from .request import Request


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("OPTIONS", {"origin": "https://a", "access-control-request-method": "PUT"}, "PUT"),
        ("OPTIONS", {"origin": "https://a"}, ""),
        ("OPTIONS", {"access-control-request-method": "PUT"}, ""),
        ("GET", {"origin": "https://a", "access-control-request-method": "PUT"}, ""),
    ],
)
def test_method_asked(method: str, headers: dict[str, str], expected: str) -> None:
    """Only OPTIONS with an origin and a method is a preflight, as the Fetch standard has it."""
    assert method_asked(Request(method, "a", "/", headers)) == expected


def test_asked() -> None:
    """What a preflight is about has its method and everything else of the preflight."""
    asked = Asked(Request("OPTIONS", "a", "/p", {"x": "1"}, {"q": "2"}), "PUT")
    assert (asked.method, asked.host, asked.path, asked.header("x"), asked.query("q")) == ("PUT", "a", "/p", "1", "2")
