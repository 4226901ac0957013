"""How the processes of a team are started: the same ones that `gateway up` and `sidecar wrap` become."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from meshctl import clock
from meshctl.control import handover, process
from meshctl.sidecar.naming import proxy_id
from meshctl.sidecar.process import Options
from meshctl.sidecar.shell_line import exec_last
from meshctl.sidecar.team_plan import Plan, Seat
from meshctl.sidecar.wrapper import Intercept, Wrapping
from meshctl.store.home import Home

_GATEWAY: Final = "meshctl.control.process"
_SIDECAR: Final = "meshctl.sidecar.process"
_SHELL: Final = ("sh", "-c")
_INTERCEPT: Final[dict[bool | str, Intercept]] = {False: "", True: "required", "auto": "auto"}
"""What a configuration says of a network of an app's own, as its wrapper is told of it."""
# Python keeps back what it prints into a pipe, where people wait for it.
_ENVIRON: Final = {"PYTHONUNBUFFERED": "1"}


def launch(plan: Plan, seat: Seat, *, stdout: int, stderr: int) -> tuple[subprocess.Popen[bytes], int]:
    """Start the process for a seat of the plan; as `handover.launch`. Raises MeshError."""
    if seat.command is None:
        lock = process.take_lock(Home(Path(plan.home)))
        gateway = process.Options(plan.home, plan.source, log=plan.log, lock=lock)
        return handover.launch(_GATEWAY, gateway, (lock,), stdout=stdout, stderr=stderr)
    sidecar = Options(
        plan.home,
        proxy_id(seat.service, seat.version, clock.bits(24)),
        seat.service,
        seat.version,
        Wrapping(
            (*_SHELL, exec_last(seat.command.line)),
            restart=seat.restart,
            patience=plan.patience,
            intercept=_INTERCEPT[seat.intercept],
        ),
        seat.command.port,
        folder=plan.folder,
    )
    return handover.launch(_SIDECAR, sidecar, (), stdout=stdout, stderr=stderr, environ=_ENVIRON | os.environ)
