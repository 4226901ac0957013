"""Running checks: all at once, each by itself. One that breaks is a fail that says so, one that hangs is given up."""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from meshctl import clock
from meshctl.control.checks.facts import MEND, UNREADABLE, Facts
from meshctl.control.checks.finding import Check, Finding, Result, Unknown, failed, warned
from meshctl.errors import MeshError

PATIENCE: Final = 6.0
"""Seconds that all of them together may take. Proxies get two to answer; the rest is for a busy machine."""

_STORE: Final = frozenset({"store_corrupt", "store_unavailable"})
_BROKEN: Final = "the check itself is broken: please report it, with `meshctl doctor --bundle FILE.tar.gz`"
_SYSTEM: Final = "run as the user who owns the mesh's home, and see what the group home says"
_SLOW: Final = "look whether the disk, the network file system or the machine hangs, and try again"


def examine(facts: Facts, checks: Sequence[Check], patience: float = PATIENCE) -> list[Result]:
    """What each of the checks found, in their order, after at most `patience` seconds. Raises nothing."""
    done: SimpleQueue[tuple[int, Finding]] = SimpleQueue()
    for at, check in enumerate(checks):
        # A daemon: where a file system hangs nothing can wake the thread, and the process must be able to end.
        Thread(target=_run, args=(at, check, facts, done), name=f"check {check.name}", daemon=True).start()
    found: dict[int, Finding] = {}
    deadline = clock.monotonic() + patience
    while len(found) < len(checks):
        try:
            at, finding = done.get(timeout=max(0.0, deadline - clock.monotonic()))
        except Empty:
            break
        found[at] = finding
    late = failed(f"no answer within {patience:g} s", _SLOW)
    return [_result(check, found.get(at, late)) for at, check in enumerate(checks)]


def _run(at: int, check: Check, facts: Facts, done: SimpleQueue[tuple[int, Finding]]) -> None:
    done.put((at, judged(check, facts)))


def judged(check: Check, facts: Facts) -> Finding:
    """What one check finds. Raises nothing."""
    try:
        return check.run(facts)
    except Unknown as unknown:
        return unknown.finding
    except MeshError as error:
        if error.code in _STORE and check.group != "store":
            # The group of the store tells what is wrong with it, once.
            return warned(UNREADABLE, MEND)
        return failed(error.message, error.hint)
    except OSError as error:
        # The world is so, not the check.
        where = f'"{error.filename}": ' if error.filename else ""
        return failed(f"{where}{(error.strerror or str(error)).lower()}", _SYSTEM)
    except Exception as error:
        detail = " ".join(str(error).split())
        return failed(f"unexpected {type(error).__name__}{': ' + detail if detail else ''}", _BROKEN)


def _result(check: Check, finding: Finding) -> Result:
    return Result(check.group, check.name, finding.status, finding.detail, finding.hint)
