"""The command: `python -m tests.benchmarks --peers nginx,envoy,meshctl --scenario 10-routes --rounds 3`."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from . import report
from .machine import describe
from .measure import Effort, compare
from .peers import PEERS
from .scenarios import DEFAULT_PEERS, SCENARIOS, with_connections


def main() -> int:
    """Run what was asked for; tables or one JSON document on stdout, progress on stderr."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    if shutil.which("wrk") is None:
        sys.stderr.write("wrk is not on this machine; without it there is no load\n")
        return 1
    console, progress = Console(quiet=asked.output == "json"), Console(stderr=True)
    try:
        found = _run(asked, console, progress)
    except KeyboardInterrupt:
        progress.print("interrupted; everything that was started has ended")
        return 130
    if asked.output == "json":
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    if asked.save:
        asked.save.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _run(asked: argparse.Namespace, console: Console, progress: Console) -> dict[str, Any]:
    effort = Effort(asked.rounds, asked.seconds, 1 if asked.quick else 2, not asked.no_pin)
    documents = []
    with progress.status("") as status:
        for name in asked.scenario:
            scenario = with_connections(SCENARIOS[name], asked.connections)
            outcome = compare(scenario, asked.peers, effort, status.update)
            report.show(outcome, console)
            documents.append(report.document(outcome))
    return {"machine": describe(), "scenarios": documents}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--scenario", type=_names(SCENARIOS), default=list(SCENARIOS), help=f"{', '.join(SCENARIOS)}")
    parser.add_argument("--peers", type=_names(PEERS), default=list(DEFAULT_PEERS), help=f"{', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, help="how often each is driven (5)")
    parser.add_argument("--seconds", type=int, help="how long each time (4)")
    parser.add_argument("--connections", type=int, help="in place of the scenario's own number")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 seconds: a look, not a result")
    parser.add_argument("--no-pin", action="store_true", help="let the kernel place the processes")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--save", type=Path, help="also write the JSON document here")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (2 if asked.quick else 5)
    asked.seconds = asked.seconds or (2 if asked.quick else 4)
    return asked


def _names(known: dict[str, Any]) -> Any:
    """A reader of comma-separated names out of `known`."""

    def names(text: str) -> list[str]:
        asked = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := [name for name in asked if name not in known]:
            raise argparse.ArgumentTypeError(f'"{unknown[0]}" is none of {", ".join(known)}')
        return asked

    return names


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
