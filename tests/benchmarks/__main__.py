"""The command: `python -m tests.benchmarks --peers nginx,envoy,meshctl --scenario 10-routes --rounds 3`."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from . import parts, report
from .hotspots import hotspots
from .load import LoadFailed
from .machine import describe
from .measure import Say
from .parts import NEEDS_LOAD
from .peers import PEERS
from .running import StartFailed
from .scenarios import DEFAULT_PEERS, SCENARIOS


def main() -> int:
    """Run what was asked for; tables or one JSON document on stdout, progress on stderr."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    console, progress = Console(quiet=asked.output == "json"), Console(stderr=True)
    try:
        with progress.status("") as status:
            found = _run(asked, console, status.update)
    except (StartFailed, LoadFailed) as error:
        progress.print(str(error), markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        progress.print("interrupted; everything that was started has ended")
        return 130
    text = json.dumps(found, indent=1) + "\n"
    if asked.output == "json":
        sys.stdout.write(text)
    if asked.save:
        asked.save.write_text(text)
    return 0


def _run(asked: argparse.Namespace, console: Console, say: Say) -> dict[str, Any]:
    """Every part asked for, each printed when it is done; all of it as one document."""
    found: dict[str, Any] = {"machine": describe(), "peers": {name: PEERS[name].note for name in asked.peers}}
    if asked.profile:
        return found | {"profile": _profiles(asked, console, say)}
    figures: dict[str, float] = {}
    for name in asked.scenario:
        found[name], reached = _part(name, asked, console, say)
        figures |= reached
    if figures:
        console.print(report.goals_table(figures))
    for name, note in found["peers"].items():
        console.print(f"{name}: {note}", highlight=False)
    return found | {"figures": figures}


def _profiles(asked: argparse.Namespace, console: Console, say: Say) -> dict[str, str]:
    """Where the time of each peer asked for goes, by scenario and peer."""
    found = {}
    for name in asked.scenario:
        for peer in asked.peers if name in SCENARIOS else ():
            heading = f"{name}, {peer}"
            found[heading] = hotspots(SCENARIOS[name], peer, say)
            console.print(f"{heading}\n\n{found[heading]}\n", markup=False, highlight=False)
    return found


def _part(name: str, asked: argparse.Namespace, console: Console, say: Say) -> tuple[Any, dict[str, float]]:
    """One part, measured and printed: its document and its figures."""
    if name in NEEDS_LOAD and shutil.which("wrk") is None:
        console.print(f"{name}: wrk is not on this machine, so there is no load")
        return None, {}
    found = parts.measure(name, asked, say)
    console.print(found.table)
    for remark in found.remarks:
        console.print(f"  {remark}", highlight=False, markup=False)
    return found.document, found.figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--scenario", type=_names(parts.PARTS), default=list(parts.PARTS), help=", ".join(parts.PARTS))
    parser.add_argument("--peers", type=_names(PEERS), default=list(DEFAULT_PEERS), help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, help="how often each is driven (5)")
    parser.add_argument("--seconds", type=int, help="how long each time (4)")
    parser.add_argument("--connections", type=int, help="in place of the scenario's own number")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 seconds: a look, not a result")
    parser.add_argument("--no-pin", action="store_true", help="let the kernel place the processes")
    parser.add_argument("--profile", action="store_true", help="no comparison: where the time of each peer goes")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--save", type=Path, help="also write the JSON document here")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (2 if asked.quick else 5)
    asked.seconds = asked.seconds or (2 if asked.quick else 4)
    return asked


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
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
