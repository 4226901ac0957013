"""Frames between two sidecars: what is sent arrives, however it is cut, and nothing else is a frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.wire.frames import (
    DATA,
    END,
    END_FRAME,
    LONGEST,
    LONGEST_REASON,
    OPEN,
    OPEN_FRAME,
    REFUSED,
    FrameReader,
    Piece,
    data_head,
    refused_frame,
)
from meshctl.wire.message import Malformed

MESSAGES = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=300).map(lambda data: (DATA, data)),
        st.sampled_from([(END, b""), (OPEN, b"")]),
        st.sampled_from(["denied:office", "upstream_connect", ""]).map(lambda reason: (REFUSED, reason.encode())),
    ),
    max_size=8,
)


def encoded(kind: int, data: bytes) -> bytes:
    """A message as it is sent."""
    if kind == DATA:
        return data_head(len(data)) + data
    if kind == REFUSED:
        return refused_frame(data.decode())
    return END_FRAME if kind == END else OPEN_FRAME


def joined(pieces: list[Piece]) -> list[tuple[int, bytes]]:
    """The pieces, with data that follows data as one."""
    found: list[tuple[int, bytes]] = []
    for kind, data in pieces:
        if kind == DATA and found and found[-1][0] == DATA:
            found[-1] = DATA, found[-1][1] + bytes(data)
        else:
            found.append((kind, bytes(data)))
    return found


@given(MESSAGES, st.lists(st.integers(1, 40), max_size=20))
def test_any_cut_gives_the_same(messages: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """However the bytes are cut, the same pieces come out, in order and complete."""
    whole = b"".join(encoded(*each) for each in messages)
    reader, found, at = FrameReader(), [], 0
    for size in cuts:
        found += reader.feed(whole[at : at + size])
        at += size
    found += reader.feed(whole[at:])
    assert joined(found) == joined(list(messages))


@given(MESSAGES)
def test_byte_by_byte(messages: list[tuple[int, bytes]]) -> None:
    """Single bytes give the same pieces, too."""
    reader = FrameReader()
    whole = b"".join(encoded(*each) for each in messages)
    found = [piece for at in range(len(whole)) for piece in reader.feed(whole[at : at + 1])]
    assert joined(found) == joined(list(messages))


def test_long_frame_is_not_copied() -> None:
    """What lies within a long frame is handed on as the object it came as."""
    reader = FrameReader()
    assert reader.feed(data_head(LONGEST)) == []
    data = bytes(100_000)
    ((kind, piece),) = reader.feed(data)
    assert kind == DATA
    assert piece is data


@pytest.mark.parametrize(
    "sent",
    [
        b"\x04\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x00\x05",
        b"\x01\x00\x00\x01x",
        b"\x02\x00\x00\x01x",
        b"\x03" + (LONGEST_REASON + 1).to_bytes(3),
    ],
)
def test_what_is_no_frame(sent: bytes) -> None:
    """Another kind, an end or an opening with a body, or a reason without end are refused as soon as they are seen."""
    with pytest.raises(Malformed):
        FrameReader().feed(data_head(3) + b"abc" + sent)


def test_long_reason_is_cut() -> None:
    """A reason fits into its frame whatever it is."""
    assert FrameReader().feed(refused_frame("é" * 1000)) == [(REFUSED, "é".encode("latin-1") * LONGEST_REASON)]


def test_empty_data() -> None:
    """A frame of no bytes is none, and no bytes are no frame."""
    assert FrameReader().feed(data_head(0) + END_FRAME) == [(END, b"")]
    assert FrameReader().feed(b"") == []
