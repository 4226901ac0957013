"""Whether copies were answered as the originals were: done here, in the supervisor, so that no request waits for it.

Workers send the pairs that are not the same byte for byte, as many as are taken in time; only the first few mismatches
are kept, shortened and without secrets. Must not know how a request was copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl import clock
from meshctl.model.steering import Example, Mirror, MirrorCount, MirrorTally, Steering
from meshctl.proxy.messages import Answered

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.control.fleet import Fleet
    from meshctl.core.json_path import Path

MOST_EXAMPLES: Final = 10
"""Mismatches of which the requests are kept: the first ones."""
SHARE: Final = 0.25
"""Of its time that a supervisor compares at most: it has other things to see to within milliseconds."""
AT_ONCE: Final = 0.1
"""Seconds of comparing for which it may have saved up."""


class Comparing:
    """The mismatches of one proxy. `steering` tells which mirrors hold."""

    def __init__(self, fleet: Fleet, steering: Callable[[], Steering]) -> None:
        self._fleet = fleet
        self._steering = steering
        self._found: dict[str, _Mismatches] = {}
        self._credit = AT_ONCE
        self._counted = clock.monotonic()
        fleet.on[Answered] = self.take

    def __repr__(self) -> str:
        return f"<Comparing {list(self._found)}>"

    def take(self, answered: Answered) -> None:
        """Compare a pair of answers."""
        from meshctl.core.differences import TooMuch, differences

        mirror = next((each for each in self._steering().mirrors if each.service == answered.service), None)
        if mirror is None or mirror.at != answered.at:
            return  # It has been stopped, or set anew, meanwhile.
        known = self._found.get(mirror.service)
        if known is None or known.mirror != mirror:
            known = self._found[mirror.service] = _Mismatches(mirror)
        began = clock.monotonic()
        self._credit = min(self._credit + (began - self._counted) * SHARE, AT_ONCE)
        self._counted = began
        if self._credit <= 0:
            known.skipped += 1
            return
        try:
            found = differences(answered.original, answered.copy, known.ignore)
        except TooMuch:
            known.skipped += 1
            return
        finally:
            self._credit -= clock.monotonic() - began
        known.compared += 1
        if found:
            known.mismatched += 1
            if len(known.examples) < MOST_EXAMPLES:
                known.examples.append(Example(answered.method, answered.path, clock.wall(), found))

    async def tallies(self) -> list[MirrorTally]:
        """What this proxy has seen of each mirror that holds."""
        decoder = msgspec.msgpack.Decoder(list[MirrorCount])
        counts = [each for _, payload in await self._fleet.ask("mirrors") for each in decoder.decode(payload)]
        return [self._tally(mirror, counts) for mirror in self._steering().mirrors]

    def _tally(self, mirror: Mirror, counts: list[MirrorCount]) -> MirrorTally:
        told = [MirrorTally(**msgspec.structs.asdict(each)) for each in counts]
        known = self._found.get(mirror.service)
        if known is not None and known.mirror == mirror:
            told.append(known.tally())
        return merged(mirror.service, mirror.at, told)


def merged(service: str, at: float, tallies: Iterable[MirrorTally]) -> MirrorTally:
    """All that was seen of one mirror; what is told of others of the same service, which came before, is left out."""
    those = [each for each in tallies if each.service == service and each.at == at]
    examples = sorted((example for each in those for example in each.examples), key=lambda example: example.at)
    return MirrorTally(
        service,
        at,
        copied=sum(each.copied for each in those),
        failed=sum(each.failed for each in those),
        dropped=sum(each.dropped for each in those),
        compared=sum(each.compared for each in those),
        uncompared=sum(each.uncompared for each in those),
        mismatched=sum(each.mismatched for each in those),
        examples=tuple(examples[:MOST_EXAMPLES]),
    )


class _Mismatches:
    """What was found of one mirror."""

    def __init__(self, mirror: Mirror) -> None:
        from meshctl.core.json_path import parse

        self.mirror = mirror
        self.ignore: list[Path] = [parse(text) for text in mirror.ignore]
        self.compared = 0
        self.skipped = 0
        self.mismatched = 0
        self.examples: list[Example] = []

    def tally(self) -> MirrorTally:
        """The same for others."""
        return MirrorTally(
            self.mirror.service,
            self.mirror.at,
            compared=self.compared,
            uncompared=self.skipped,
            mismatched=self.mismatched,
            examples=tuple(self.examples),
        )
