"""What callers have used stays bounded, however many callers there seem to be; those who used most are remembered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshctl.store import usage as module
from meshctl.store.home import Home
from meshctl.store.usage import Usage, Used


@pytest.fixture
def usage(home: Home) -> Iterator[Usage]:
    """The file, open."""
    opened = Usage(home.path)
    yield opened
    opened.close()


def _used(key: str, count: int, *, quota: str = "q", number: int = 5) -> Used:
    return Used("day", number, "r", quota, key, count)


def test_counts_add_up(usage: Usage) -> None:
    """Counts of the same key in the same day are one, those of another day are not."""
    usage.add([_used("a", 2), _used("b", 1)])
    usage.add([_used("a", 3), _used("a", 1, number=6)])
    assert usage.of("day", 5) == [_used("a", 5), _used("b", 1)]
    assert usage.of("day", 6) == [_used("a", 1, number=6)]


def test_a_million_callers(usage: Usage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a quota with more callers than are kept, those who used least are forgotten; other quotas lose nobody."""
    monkeypatch.setattr(module, "MOST", 100)
    usage.add([_used(f"few{number}", 1, quota="other") for number in range(50)])
    usage.add([_used(f"known{number}", 20 + number) for number in range(60)])
    for turn in range(20):
        usage.add([_used(f"new{turn}/{number}", 1 + number % 3) for number in range(37)])
        rows = usage.of("day", 5)
        mine = {each.key for each in rows if each.quota == "q"}
        assert len(mine) <= 100
        assert {f"known{number}" for number in range(60)} <= mine
        assert sum(1 for each in rows if each.quota == "other") == 50


def test_the_most_are_bounded(usage: Usage) -> None:
    """The bound that holds is one that a proxy reads back in a moment."""
    usage.add([_used(f"{number}", 1) for number in range(module.MOST + 10)])
    assert module.MOST // 2 < len(usage.of("day", 5)) <= module.MOST
