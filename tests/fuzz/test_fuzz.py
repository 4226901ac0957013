"""Each target holds for what it is begun with, for what was found to break it before, and for damage to either."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .targets import TARGETS, Target

# A search led by coverage tries millions; these only hold what it found, and catch what is easily found.
BRIEF = settings(
    max_examples=100,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
FOUND = {
    "through-answers": [
        b"\0HTTP/1.1 199 X\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ],
    "through-requests": [
        b"\0POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
        b"GET /never HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ],
    "responses": [b"HTTP/1.1 199 OK\r\nContent-Length: 2\r\n\r\n\xff|okHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
    "login": [b'{"a":' * 5_000, b'{"error":"\xff"}', b"\x9b" + b"\xbd" * 74],
}
"""What has failed once."""


@pytest.mark.parametrize("name", TARGETS)
def test_what_it_is_begun_with(name: str) -> None:
    """A target holds for usual messages, and for those that it did not hold for once."""
    target = TARGETS[name]
    for data in (*target.seeds, *FOUND.get(name, ()), b""):
        target.attack(data)


def damaged(target: Target) -> st.SearchStrategy[bytes]:
    """A message of the target's with some of its bytes replaced."""
    place = st.tuples(st.integers(0, 4_000), st.integers(0, 4), st.sampled_from(target.words))
    return st.builds(_replaced, st.sampled_from(target.seeds), st.lists(place, min_size=1, max_size=3))


def _replaced(seed: bytes, places: list[tuple[int, int, bytes]]) -> bytes:
    raw = bytearray(seed)
    for at, count, word in places:
        start = at % (len(raw) + 1)
        raw[start : start + count] = word
    return bytes(raw)


@pytest.mark.parametrize("name", TARGETS)
def test_damage(name: str) -> None:
    """A target holds for damaged messages."""
    target = TARGETS[name]

    @BRIEF
    @given(damaged(target))
    def attack(data: bytes) -> None:
        target.attack(data)

    attack()
