"""tracestate and B3 as they come, and what of them goes on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.wire.trace_fields import B3, LONGEST_STATE, MOST_MEMBERS, combined, read

TRACE, SHORT, SPAN = b"463ac35c9f6413ad48485a3953bb6124", b"48485a3953bb6124", b"a2fb4a1d1a96d312"

ONE_TO_THIRTY_TWO = [b"%s=%d" % (b"abcdefghijklmnopqrstuvwxyz012345"[n : n + 1], n) for n in range(32)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"a=1"], b"a=1"),
        ([b"a=1,b=2", b"c=3"], b"a=1,b=2,c=3"),
        ([b" a=1 \t,\t b=2 "], b"a=1,b=2"),
        ([b"", b"a=1", b""], b"a=1"),
        ([b"a=1,,b=2"], b"a=1,b=2"),
        ([b""], b""),
        ([b"a=1,a=1"], b"a=1,a=1"),
        ([b"a@b=1,0x=2,c_-*/d=3"], b"a@b=1,0x=2,c_-*/d=3"),
        ([b"a= x~!"], b"a= x~!"),
        ([b",".join(ONE_TO_THIRTY_TWO)], b",".join(ONE_TO_THIRTY_TWO)),
        ([b",".join(ONE_TO_THIRTY_TWO), b"z=33"], b""),
        ([b"A=1"], b""),
        ([b"@a=1,b=2"], b""),
        ([b"a =1"], b""),
        ([b"a.b=1"], b""),
        ([b"a=1=2"], b""),
        ([b"a=,b=3"], b""),
        ([b"a"], b""),
        ([b"a=\x7f"], b""),
        ([b"a=\xc3\xa9"], b""),
        ([b"k" * 256 + b"=1"], b"k" * 256 + b"=1"),
        ([b"b=2," + b"k" * 257 + b"=1"], b""),
        # Too long: members of more than 128 bytes go, then the last ones.
        ([b"a=1," + b"l=" + b"x" * 200 + b",b=" + b"y" * 120 + b",c=" + b"z" * 200], b"a=1,b=" + b"y" * 120),
        ([b",".join(b"%c=%s" % (97 + n, b"v" * 98) for n in range(6))],
         b",".join(b"%c=%s" % (97 + n, b"v" * 98) for n in range(5))),
    ],
)  # fmt: skip
def test_combined(values: list[bytes], expected: bytes) -> None:
    """Members keep their order, invalid ones make all of it void, and what is too long is cut at members."""
    assert combined(values) == expected


@given(st.lists(st.binary(max_size=300), max_size=5) | st.lists(st.sampled_from([b"a=1,b=2", b"x@y=%s" % (b"v" * 99)])))
def test_combined_is_bounded(values: list[bytes]) -> None:
    """Whatever comes, what goes on is a valid tracestate of bounded size, and saying it again changes nothing."""
    found = combined(values)
    assert len(found) <= LONGEST_STATE
    assert found.count(b",") < MOST_MEMBERS
    assert combined([found]) == found


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"b3: %s-%s-1" % (TRACE, SPAN)], B3(TRACE, SPAN, True)),
        ([b"B3:%s-%s-0" % (SHORT, SPAN)], B3(b"0" * 16 + SHORT, SPAN, False)),
        ([b"b3: %s-%s-d-%s" % (TRACE, SPAN, SPAN)], B3(TRACE, SPAN, True)),
        ([b"b3: %s-%s" % (TRACE.upper(), SPAN)], B3(TRACE, SPAN, None)),
        ([b"b3: 0"], B3(b"", b"", False)),
        ([b"b3: d"], B3(b"", b"", True)),
        ([b"b3: %s-%s-2" % (TRACE, SPAN)], None),
        ([b"b3: %s-%s-1-x" % (TRACE, SPAN)], None),
        ([b"b3: %s" % TRACE], None),
        ([b"b3: %s-%s-1" % (b"0" * 32, SPAN)], None),
        ([b"b3: %s-%s-1" % (TRACE, b"0" * 16)], None),
        ([b"b3: %s-%s-1" % (TRACE[:20], SPAN)], None),
        ([b"X-B3-TraceId: " + TRACE, b"X-B3-SpanId: " + SPAN, b"X-B3-Sampled: 1"], B3(TRACE, SPAN, True)),
        ([b"x-b3-traceid: " + TRACE, b"x-b3-spanid: " + SPAN, b"x-b3-sampled: false"], B3(TRACE, SPAN, False)),
        ([b"x-b3-traceid: " + TRACE, b"x-b3-spanid: " + SPAN, b"x-b3-flags: 1"], B3(TRACE, SPAN, True)),
        ([b"x-b3-traceid: " + TRACE, b"x-b3-spanid: " + SPAN], B3(TRACE, SPAN, None)),
        ([b"x-b3-traceid: " + TRACE], None),
        ([b"x-b3-sampled: 0"], B3(b"", b"", False)),
        ([b"x-b3-sampled: maybe"], None),
        ([b"x-b3-spanid: " + SPAN], None),
        ([b"b3: nonsense", b"x-b3-traceid: " + TRACE, b"x-b3-spanid: " + SPAN], None),
        ([b"Accept: */*", b"X-Other: 1", b"tracer: 1"], None),
    ],
)
def test_b3(lines: list[bytes], expected: B3 | None) -> None:
    """B3 is read in both forms, the single header first; what is invalid is as if it were not there."""
    assert read(lines).b3 == expected


def test_fields() -> None:
    """A head whose tracestate is well goes on as the very same; others with one field in its place, or none; and
    where a trace begins here, none of it does."""
    head = [b"Accept: a", b"TraceState: a=1", b"X: y"]
    said = read(head)
    assert said.fields is head
    assert (said.state, said.bare) == (b"a=1", [b"Accept: a", b"X: y"])
    said = read([b"tracestate: a=1", b"Accept: a", b"tracestate:b=2"])
    assert (said.state, said.fields) == (b"a=1,b=2", [b"Accept: a", b"tracestate: a=1,b=2"])
    assert read([b"tracestate: A", b"Accept: a"]).fields == [b"Accept: a"]
    plain = [b"Accept: a", b"Trace-State: a=1"]
    assert read(plain).fields is read(plain).bare is plain
