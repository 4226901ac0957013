"""The readers meet every way of cutting bytes into pieces, and see the same messages in all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .messages import REFUSED_REQUESTS, REFUSED_RESPONSES, REQUESTS, RESPONSES
from .recorder import Outcome, Requests, Responses, read

Make = Callable[[], Requests | Responses]

EVERY: list[tuple[Make, bytes]] = [
    *((Requests, raw) for raw in REQUESTS.values()),
    *((Requests, raw) for raw, _ in REFUSED_REQUESTS.values()),
    *((Responses, raw) for raw in RESPONSES.values()),
    *((Responses, raw) for raw in REFUSED_RESPONSES.values()),
]
IDS = [
    *(
        f"{kind}: {name}"
        for kind, table in [("request", REQUESTS), ("refused request", REFUSED_REQUESTS)]
        for name in table
    ),
    *(f"{kind}: {name}" for kind, table in [("response", RESPONSES), ("refused", REFUSED_RESPONSES)] for name in table),
]
every = pytest.mark.parametrize(("make", "raw"), EVERY, ids=IDS)


def settled(outcome: Outcome) -> Outcome:
    """An outcome without what the cut decides: which of several reasons shows first is the parser's business."""
    return Outcome(outcome.seen, outcome.rest, bool(outcome.reason) * "refused")


@every
def test_byte_by_byte(make: Make, raw: bytes) -> None:
    """A message read in single bytes is the one read whole."""
    assert settled(read(make, [raw])) == settled(read(make, [raw[at : at + 1] for at in range(len(raw))]))


@every
def test_cut_in_two_anywhere(make: Make, raw: bytes) -> None:
    """A message cut in two at any place is the one read whole."""
    if len(raw) > 2000:
        raw = raw[:40] + raw[-400:]
    whole = settled(read(make, [raw]))
    for cut in range(1, len(raw)):
        assert settled(read(make, [raw[:cut], raw[cut:]])) == whole, (raw[:cut], raw[cut:])


@given(st.data())
def test_cut_anywhere(data: st.DataObject) -> None:
    """Messages cut in any number of pieces are those read whole."""
    make, raw = data.draw(st.sampled_from(EVERY))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(raw) - 1)), max_size=8)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert settled(read(make, pieces)) == settled(read(make, [raw]))


@pytest.mark.parametrize("name", [name for name in REQUESTS if "upgrade" not in name and "1.0" not in name
                                  and name not in ("closing", "proxy connection", "version in a value")])  # fmt: skip
def test_requests_follow_each_other(name: str) -> None:
    """Whatever came before, the next request is read as if it came alone."""
    for other, raw in REQUESTS.items():
        alone, together = read(Requests, [raw]), read(Requests, [REQUESTS[name] + raw])
        assert together.seen[-len(alone.seen) :] == alone.seen, other
        assert together.rest == alone.rest


@pytest.mark.parametrize(("raw", "reason"), REFUSED_REQUESTS.values(), ids=list(REFUSED_REQUESTS))
def test_refused_request_says_why(raw: bytes, reason: str) -> None:
    """A malformed request is refused with its reason, and what was complete before it is kept."""
    assert read(Requests, [raw]).reason == reason
    both = read(Requests, [REQUESTS["length"] + raw])
    assert (both.reason, both.seen[0]["body"]) == (reason, b"hello")


@pytest.mark.parametrize("raw", REFUSED_RESPONSES.values(), ids=list(REFUSED_RESPONSES))
def test_refused_response_says_so(raw: bytes) -> None:
    """A malformed response is the service's fault."""
    assert read(Responses, [raw]).reason == "upstream_protocol"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """No bytes make a reader fail in a way of its own."""
    for make in (Requests, Responses):
        outcome = read(make, [raw])
        assert outcome.reason in {"", "bad_request", "method_unknown", "version_unsupported", "upstream_protocol"}


@given(st.data())
def test_any_damage_is_read_or_refused(data: st.DataObject) -> None:
    """Messages with some bytes changed, dropped or added are read or refused, in the same way however they are cut."""
    make, raw = data.draw(st.sampled_from(EVERY))
    damaged = bytearray(raw[:600])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        piece = data.draw(
            st.sampled_from([b"", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"0", b",", b"\xff", b"chunked"])
        )
        damaged[at : at + data.draw(st.integers(0, 3))] = piece
    whole = settled(read(make, [bytes(damaged)]))
    assert settled(read(make, [damaged[at : at + 1] for at in range(len(damaged))])) == whole
