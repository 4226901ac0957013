"""The command: `python -m tests.chaos --minutes 20`. Ends with 1 where something did not hold.

It runs itself in a mount namespace of its own, with a small disk for the home; where that is not allowed the home is in
/tmp, and the faults that need a disk are left out, which is said.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

_INSIDE = Path(__file__).with_name("inside")
_NEED_A_DISK = {"full disk", "read-only home"}


def main() -> int:
    """Attack a mesh and tell what became of it."""
    asked = _arguments()
    if not asked.inside and (way := _namespace()):
        os.execvp(way[0], [*way, sys.executable, "-m", "tests.chaos", *sys.argv[1:], "--inside"])
    os.nice(asked.nice)
    # A shell lets those in its background ignore it, and all whom they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp") as folder:
        return _run(asked, Path(folder))


def _run(asked: argparse.Namespace, folder: Path) -> int:
    disk, words, clock = folder / "disk", folder / "words", folder / "clock"
    disk.mkdir()
    words.mkdir()
    clock.write_bytes(bytes(8))
    for name in ("MESHCTL_HOME", "XDG_RUNTIME_DIR", "HTTP_PROXY", "http_proxy"):
        os.environ.pop(name, None)
    os.environ |= {"CHAOS_CLOCK": str(clock), "XDG_STATE_HOME": str(folder / "state"), "NO_COLOR": "1"}
    sys.path.insert(0, str(_INSIDE))
    from .course import attack, new_town
    from .faults import FAULTS
    from .files import FILES

    faults = [each for each in (*FAULTS, *FILES) if any(part in each.name for part in asked.only.split(","))]
    mounted = asked.inside and _mounted(disk)
    if not mounted:
        faults = [each for each in faults if each.name not in _NEED_A_DISK]
        sys.stderr.write("no disk of its own: a full disk and a read-only home are left out\n")
    try:
        found = attack(
            lambda: new_town(disk, words),
            faults,
            seconds=asked.minutes * 60,
            seed=asked.seed,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )
    finally:
        if asked.keep:
            shutil.copytree(words, asked.keep, dirs_exist_ok=True)
        if mounted:
            subprocess.run(["umount", "-l", str(disk)], check=False)
    if asked.save:
        asked.save.write_text(json.dumps({name: asdict(tally) for name, tally in found.items()}, indent=1) + "\n")
    print(f"{'fault':36} {'tried':>5} {'sent':>7} {'lost':>5}  what did not hold")
    for name, tally in found.items():
        print(f"{name:36} {tally.tried:5} {tally.sent:7} {tally.lost:5}  {'; '.join(tally.wrong)[:300]}")
    return 1 if any(tally.wrong for tally in found.values()) else 0


def _namespace() -> list[str]:
    """What gives this process mounts of its own; nothing where that is not allowed."""
    for way in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        if shutil.which(way[0]) and not subprocess.run([*way, "true"], check=False, capture_output=True).returncode:
            return way
    return []


def _mounted(disk: Path) -> bool:
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(disk)]
    return not subprocess.run(mount, check=False, capture_output=True).returncode


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="each fault is tried once, however long that takes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="only faults with one of these in their name: wrapper,clock")
    parser.add_argument("--nice", type=int, default=10)
    parser.add_argument("--save", type=Path, help="write what was found to this file, as JSON")
    parser.add_argument("--keep", type=Path, help="copy what the processes said to this folder")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
