"""What a caller's time is read from, and how what is left of it is passed on."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.deadline import GRPC_TIMEOUT, LONGEST, REQUEST_TIMEOUT, allowed, encode, encode_grpc


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1500ms", 1.5),
        (b"0ms", 0.0),
        (b"00001ms", 0.001),
        (b"9999999999ms", LONGEST),
        # What cannot be understood allows any time, as if it were not there.
        (b"99999999999ms", inf),
        (b"", inf),
        (b"1500", inf),
        (b"2s", inf),
        (b"-1ms", inf),
        (b"1.5ms", inf),
        (b" 1ms", inf),
        (b"1ms, 2ms", inf),
        (b"\xd9\xa1ms", inf),
        (b"ms", inf),
    ],
)
def test_our_field(value: bytes, expected: float) -> None:
    """Whole milliseconds with their unit, and nothing else."""
    assert allowed({REQUEST_TIMEOUT: value}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"2H", 7200.0),
        (b"3M", 180.0),
        (b"4S", 4.0),
        (b"5m", 0.005),
        (b"6u", 6e-6),
        (b"7n", 7e-9),
        (b"0S", 0.0),
        (b"99999999H", LONGEST),
        (b"100000000n", inf),
        (b"1h", inf),
        (b"1", inf),
        (b"S", inf),
        (b"1 S", inf),
        (b"+1S", inf),
    ],
)
def test_the_field_of_grpc(value: bytes, expected: float) -> None:
    """At most eight digits and a unit, as the protocol has it."""
    assert allowed({GRPC_TIMEOUT: value}) == pytest.approx(expected)


def test_the_least_counts() -> None:
    """Of two fields the one that allows less holds; none allows any time."""
    assert allowed({GRPC_TIMEOUT: b"2S", REQUEST_TIMEOUT: b"100ms"}) == 0.1
    assert allowed({GRPC_TIMEOUT: b"2m", REQUEST_TIMEOUT: b"100ms"}) == 0.002
    assert allowed({GRPC_TIMEOUT: b"soon", REQUEST_TIMEOUT: b"100ms"}) == 0.1
    assert allowed({b"host": b"1ms"}) == inf


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_nothing_sent_can_break_it(ours: bytes, grpc: bytes) -> None:
    """Whatever is sent allows some time, a bounded one, or any."""
    seconds = allowed({REQUEST_TIMEOUT: ours, GRPC_TIMEOUT: grpc})
    assert 0 <= seconds <= LONGEST or seconds == inf


@given(st.floats(-10, 1e12))
def test_what_is_written_can_be_read(left: float) -> None:
    """Both fields say what is left to the millisecond, hold to their lengths, and never say 0."""
    ours, grpc = encode(left), encode_grpc(left)
    assert allowed({REQUEST_TIMEOUT: ours}) == pytest.approx(min(max(left, 0.001), LONGEST), abs=0.0006)
    assert allowed({GRPC_TIMEOUT: grpc}) == pytest.approx(min(max(left, 0.001), LONGEST), abs=0.0006, rel=1e-5)
    assert len(grpc) <= 9
    assert allowed({REQUEST_TIMEOUT: ours, GRPC_TIMEOUT: grpc}) > 0
