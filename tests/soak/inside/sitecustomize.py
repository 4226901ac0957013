"""The first thing each watched process imports: on a signal it writes down how many tasks, objects and entries in
tables it has. It finds out how a process fares without its help and without changing what is tested.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections import Counter, deque
from typing import Any

SIGNAL = signal.SIGRTMIN + 9
_TABLES = (dict, set, list, deque)


def _tell(*_: object) -> None:
    """Write it to $SOAK_VITALS/<process id>, whole or not at all."""
    gc.collect()
    blocks = sys.getallocatedblocks()
    objects = gc.get_objects()
    sizes = [(len(each), type(each).__name__) for each in objects if isinstance(each, _TABLES)]
    told: dict[str, Any] = {
        "tasks": len(asyncio.tasks._all_tasks),  # type: ignore[attr-defined]
        "blocks": blocks,
        "objects": len(objects),
        "entries": sum(size for size, _ in sizes),
        "largest": sorted(sizes, reverse=True)[:8],
        "types": Counter(type(each).__name__ for each in objects).most_common(40),
    }
    where = os.path.join(os.environ["SOAK_VITALS"], str(os.getpid()))
    with open(where + ".new", "w") as file:
        json.dump(told, file)
    os.replace(where + ".new", where)


if "SOAK_VITALS" in os.environ:
    signal.signal(SIGNAL, _tell)
