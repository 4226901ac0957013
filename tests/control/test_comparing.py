"""What a supervisor makes of the answers that workers send it: for the mirror that holds, and in a part of its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
import pytest

from meshctl.control import comparing
from meshctl.control.comparing import MOST_EXAMPLES, Comparing
from meshctl.control.fleet import Fleet
from meshctl.control.slot import Slot
from meshctl.model.steering import Mirror, MirrorCount, MirrorTally, Shown, Steering
from meshctl.proxy.messages import Answered

JSON = {"content-type": "application/json"}


class Workers:
    """Two workers that have counted."""

    def __init__(self) -> None:
        self.on: dict[type, Callable[[Answered], None]] = {}

    async def ask(self, what: str) -> list[tuple[Slot, bytes]]:
        """Their counts."""
        assert what == "mirrors"
        counts = [MirrorCount("s", 1.0, 10, 1, 2, 3, 4), MirrorCount("t", 1.0, 99)]
        return [(Slot(at), msgspec.msgpack.encode(counts)) for at in range(2)]


class Seen:
    """A mirror whose pairs a test gives."""

    def __init__(self, ignore: tuple[str, ...] = ()) -> None:
        self.steering = Steering(mirrors=(Mirror("s", "v2", 1.0, True, ignore, at=1.0),))
        self.workers = Workers()
        self.comparing = Comparing(cast(Fleet, self.workers), lambda: self.steering)

    def pair(self, ours: str, theirs: str, at: float = 1.0) -> None:
        """Two answers from a worker."""
        shown = (Shown(200, JSON, text.encode()) for text in (ours, theirs))
        self.workers.on[Answered](Answered("s", at, "GET", "/a", *shown))

    def tally(self) -> MirrorTally:
        """What is told of it."""
        (found,) = asyncio.run(self.comparing.tallies())
        return found


@pytest.fixture(autouse=True)
def _untiring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "AT_ONCE", 60.0)


def test_pairs() -> None:
    """Pairs that differ only in what may differ match; of the others the first few are kept; workers' counts add up."""
    seen = Seen(("$.at",))
    seen.pair('{"at": 1, "a": 1}', '{"a": 1, "at": 2}')
    for number in range(MOST_EXAMPLES + 5):
        seen.pair("{}", f'{{"a": {number}}}')
    told = seen.tally()
    assert (told.copied, told.failed, told.dropped, told.uncompared) == (20, 2, 4, 8)
    assert (told.compared, told.mismatched, len(told.examples)) == (6 + 16, 15, MOST_EXAMPLES)
    assert [each.differences[0].copy for each in told.examples] == [str(at) for at in range(MOST_EXAMPLES)]


def test_another_mirror() -> None:
    """What belongs to a mirror that was set before counts for nobody, and a new one counts anew."""
    seen = Seen()
    seen.pair("1", "2", at=0.5)
    assert seen.tally().mismatched == 0
    seen.pair("1", "2")
    assert seen.tally().mismatched == 1
    seen.steering = Steering(mirrors=(Mirror("s", "v3", at=2.0),))
    assert seen.tally() == MirrorTally("s", 2.0)


def test_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a comparison it has other things to do for a while: what comes then is counted as not compared."""
    monkeypatch.setattr(comparing, "SHARE", 1e-9)
    monkeypatch.setattr(comparing, "AT_ONCE", 1e-9)
    seen = Seen()
    seen.pair("1", "2")
    seen.pair("1", "2")
    told = seen.tally()
    assert (told.mismatched, told.uncompared) == (1, 8 + 1)
