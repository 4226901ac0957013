"""The process of `meshctl up`: a lean one, which has loaded neither the command line nor the configuration's parser.

    python -m meshctl.sidecar.team_process <read the plan from this descriptor> <tell of being ready on this one>

The command that starts it has checked and applied the configuration.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Final

from meshctl.control.handover import Teller, given
from meshctl.errors import FAILED, MeshError
from meshctl.sidecar.launch import ignored_signals
from meshctl.sidecar.team import Team
from meshctl.sidecar.team_launch import launch
from meshctl.sidecar.team_lines import Names
from meshctl.sidecar.team_member import Member
from meshctl.sidecar.team_output import Output
from meshctl.sidecar.team_plan import OWN, Plan
from meshctl.sidecar.team_record import Record
from meshctl.sidecar.team_roll import Roll
from meshctl.store.home import Home
from meshctl.store.sqlite import SqliteStore

# 128 + SIGPIPE, what a shell reports of a program that wrote into a closed pipe.
_BROKEN_PIPE: Final = 141
_FLUSH: Final = 1.0
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(plan: Plan, teller: Teller) -> int:
    """Run the team until it is ended; the exit status. Tells that it is complete, or why it is not."""
    os.set_inheritable(plan.lock, False)
    ignored = ignored_signals()
    return asyncio.run(_run(plan, teller, ignored))


async def _run(plan: Plan, teller: Teller, ignored: frozenset[int]) -> int:
    loop = asyncio.get_running_loop()
    home = Home(Path(plan.home))
    names = [OWN, *(seat.name for seat in plan.seats)]
    shown = Names(names, is_coloured=plan.is_coloured)
    output = Output(loop, shown, is_quiet=plan.is_quiet, is_dated=bool(plan.log))
    store = SqliteStore(home.database)
    record = Record(home, plan)
    members = [Member(seat, partial(launch, plan, seat), output) for seat in plan.seats]
    team = Team(plan, Roll(plan, members, store), store, output, record)
    broken = asyncio.Event()

    def on_broken() -> None:
        if not broken.is_set():
            broken.set()
            team.end()

    output.on_broken = on_broken
    loop.add_signal_handler(signal.SIGCHLD, team.look)
    for number in _ENDING:
        if number not in ignored:
            loop.add_signal_handler(number, team.end)
    status = await _live(team, teller, output)
    record.close()
    store.close()
    os.close(plan.lock)
    return _BROKEN_PIPE if broken.is_set() else status


async def _live(team: Team, teller: Teller, output: Output) -> int:
    try:
        view = await team.assemble()
    except MeshError as error:
        await output.flush(_FLUSH)
        teller.failed(error)
        await team.disband()
        await output.flush(_FLUSH)
        return FAILED
    status = 0
    if view is not None:
        teller.ready(view)
        status = await team.stay()
    await team.disband()
    await output.flush(_FLUSH)
    return status


if __name__ == "__main__":
    sys.exit(main(*given(Plan)))
