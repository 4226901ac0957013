"""Which coding a client gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.accept_encoding import preferred

OURS = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1, br;q=0.9", "gzip"),
        ("gzip ; q=0.5 , br ; Q=0.6", "br"),
        ("gzip;q=0", ""),
        ("*", "zstd"),
        ("*;q=0.1, zstd;q=0", "br"),
        ("*;q=0", ""),
        ("identity", ""),
        ("identity, gzip;q=0.5", ""),
        ("identity;q=0.5, gzip", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("gzip;q=x", ""),
        ("gzip;q=7", "gzip"),
        ("deflate", ""),
        (",,;q=1,", ""),
    ],
)
def test_preferred(accepted: str, expected: str) -> None:
    """The client's weights decide, then our order; what it refuses or what is not understood it does not get."""
    assert preferred(accepted, OURS) == expected


@given(st.text(alphabet="gzipbrstd*identy;q=,. 01", max_size=40))
def test_anything(accepted: str) -> None:
    """Whatever a client says, it gets one of ours or none, and none that it refuses by name."""
    found = preferred(accepted, OURS)
    assert found in ("", *OURS)
    assert preferred(f"{accepted},{found};q=0", OURS) != found or not found
