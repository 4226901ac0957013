"""The command: `python -m tests.soak --minutes 30`. Ends with 1 where something grew or went wrong."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from . import report

_INSIDE = Path(__file__).with_name("inside")


def main() -> int:
    """Soak a mesh and tell what became of it."""
    asked = _arguments()
    os.nice(asked.nice)
    # A shell lets those in its background ignore it, and all whom they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as folder:
        _prepare(Path(folder))
        from .course import Course

        course = Course(Path(folder), seed=asked.seed, pace=asked.pace, every=asked.act_every)
        course.run(asked.minutes * 60)
        found = report.judge(course, warm_up=asked.minutes * 60 / 3)
    text = report.text(found)
    sys.stdout.write(text)
    if asked.save:
        asked.save.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if found["wrong"] or found["grown"] else 0


def _prepare(folder: Path) -> None:
    """Nothing of the user's, and every process to tell how it fares."""
    for name in ("MESHCTL_HOME", "XDG_RUNTIME_DIR", "HTTP_PROXY", "http_proxy"):
        os.environ.pop(name, None)
    (folder / "vitals").mkdir()
    os.environ |= {"SOAK_VITALS": str(folder / "vitals"), "XDG_STATE_HOME": str(folder / "state"), "NO_COLOR": "1"}
    sys.path.insert(0, str(_INSIDE))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long; growth is judged from 3 minutes on")
    parser.add_argument("--pace", type=float, default=1.0, help="1 is about 48 requests a second")
    parser.add_argument("--act-every", type=float, default=8.0, help="seconds between two acts of the operator")
    parser.add_argument("--nice", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="write what was found to this file, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
