"""How long an answer asks its client to wait."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.wire.retry_after import wait_asked

NOW = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 §5.6.7."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"120", 120.0),
        (b" 0 ", 0.0),
        (b"Sun, 06 Nov 1994 08:49:40 GMT", 3.0),
        (b"Sunday, 06-Nov-94 08:49:40 GMT", 3.0),
        (b"Sun Nov  6 08:49:40 1994", 3.0),
        (b"Wed Nov 16 08:49:37 1994", 864_000.0),
        # Two digits that would be more than fifty years ahead are of the century before.
        (b"Sunday, 06-Nov-43 08:49:37 GMT", 1_546_300_800.0),
        (b"Sunday, 06-Nov-44 08:49:37 GMT", 0.0),
        # What is past need not be waited for; what is no date says nothing.
        (b"Sun, 06 Nov 1994 08:49:30 GMT", 0.0),
        (b"Sun, 06 Foo 1994 08:49:40 GMT", 0.0),
        (b"Sun, 06 Nov 1994 08:49:40 CET", 0.0),
        (b"-1", 0.0),
        (b"1.5", 0.0),
        (b"9999999999", 0.0),
        (b"soon", 0.0),
        (b"", 0.0),
    ],
)
def test_values(value: bytes, expected: float) -> None:
    """Seconds, and dates in all three forms."""
    assert wait_asked([b"Content-Type: text/plain", b"Retry-After:" + value], NOW) == expected


def test_without_it() -> None:
    """An answer without the field asks nothing, whatever its name's spelling is otherwise."""
    assert wait_asked([b"X-Retry-After: 5"], NOW) == 0
    assert wait_asked([b"retry-after: 5"], NOW) == 5


@given(st.datetimes(datetime(1971, 1, 1), datetime(2399, 12, 31)))
def test_every_date(moment: datetime) -> None:
    """A date is as far away as the library says."""
    there = moment.replace(microsecond=0, tzinfo=UTC)
    assert wait_asked([b"Retry-After: " + format_datetime(there, usegmt=True).encode()], 0.0) == there.timestamp()


@given(st.binary(max_size=40))
def test_nothing_sent_can_break_it(value: bytes) -> None:
    """Whatever is sent, it is a time to wait or none."""
    assert wait_asked([b"Retry-After: " + value], NOW) >= 0
