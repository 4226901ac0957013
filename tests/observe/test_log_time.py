"""When lines of logs were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl import clock
from meshctl.observe.log_time import status_of_line, written_at

AT = 1795338682.592


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ('{"time":"2026-11-22T09:11:22.592Z","status":200}', AT),
        ('{"level": "info", "timestamp": "2026-11-22T10:11:22.592+01:00"}', AT),
        ("2026-11-22T09:11:22.592Z info    ready", AT),
        ("2026-11-22 09:11:22,592+00:00 INFO app", AT),
        ('127.0.0.1 - - [22/Nov/2026:09:11:22 +0000] "GET / HTTP/1.1" 200 5 "-" "curl"', AT - 0.592),
        ("web     | hello", None),
        ("2026-11-22T09:11:22.592Z orders v1 | hello", AT),
        ('2026-11-22T09:11:23.500Z gateway   | {"time":"2026-11-22T09:11:22.592Z","status":200}', AT),
        ('gateway   | {"time":"2026-11-22T09:11:22.592Z","status":200}', AT),
        ("Traceback (most recent call last):", None),
        ("2026-13-45T99:11:22Z never", None),
        ('x - - [99/Nov/2026:09:11:22 +0000] "GET"', None),
        ("", None),
    ],
)
def test_when(line: str, at: float | None) -> None:
    """JSON, events, other programs' lines and the combined format say when; what is no time is none."""
    found = written_at(line)
    assert found == (None if at is None else pytest.approx(at, abs=1e-6))


@given(st.floats(0, 4e9), st.text(max_size=50))
def test_our_own_lines(at: float, text: str) -> None:
    """What our logs write is read to the millisecond, whatever follows."""
    found = written_at(f"{clock.timestamp(at)} info    {text}")
    assert found is not None
    assert abs(found - at) < 0.002


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ('{"time":"x","path":"/","status":503,"reason":""}', 503),
        ('127.0.0.1 - - [22/Nov/2026:09:11:22 +0000] "GET / HTTP/1.1" 404 5 "-" "curl"', 404),
        ("2026-11-22T09:11:22.592Z info    ready status=200", None),
    ],
)
def test_statuses(line: str, status: int | None) -> None:
    """Lines of access logs have a status, others none."""
    assert status_of_line(line) == status
