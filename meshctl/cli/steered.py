"""The faults and mirrors that hold, as lines of whatever else is shown: nobody should wonder about a service that
somebody else makes fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from meshctl.cli.session import Session

if TYPE_CHECKING:
    from meshctl.model.steering import Fault, Mirror


def steered(faults: Iterable[Fault], mirrors: Iterable[Mirror], *, by_service: bool = False) -> list[tuple[str, str]]:
    """Name and text of each line: `fault`, `abort 503@5%, ends in 1m40s`; with the service where of several."""
    from meshctl import clock
    from meshctl.control.mirrors import described
    from meshctl.core.faults import active, told

    now = clock.wall()
    lines = [("fault", each.service, told(each, now)) for each in active(tuple(faults), now)]
    lines += [("mirror", each.service, described(each)) for each in mirrors]
    return [(name, f"{service}: {text}" if by_service else text) for name, service, text in lines]


def remind(session: Session) -> None:
    """Say on stderr which faults and mirrors hold, beside a table that has no place for them."""
    from meshctl.control.steered import live_steering

    with session.store() as store:
        steering = live_steering(store)
    for name, text in steered(steering.faults, steering.mirrors, by_service=True):
        session.terminal.say(f"{name} at {text}")
