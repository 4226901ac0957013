"""Running checks: one after another, each by itself. One that breaks is a fail that says so, one that hangs is left.

Not all at once: what they read is decoded by msgspec, which crashes where two threads are the first to meet a type at
the same moment. What takes long is asking proxies, and these are asked together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, TypeVar

from meshctl.control.checks.facts import MEND, UNREADABLE, Facts
from meshctl.control.checks.finding import Check, Finding, Result, Unknown, failed, warned
from meshctl.errors import MeshError, because

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that a check may take. Proxies get two to answer; the rest is for a busy machine."""
IMPATIENCE: Final = 1.0
"""Seconds for each check after one that hung: the next ones will probably hang, too."""

_STORE: Final = frozenset({"store_corrupt", "store_unavailable"})
_BROKEN: Final = "the check itself is broken: please report it, with `meshctl doctor --bundle FILE.tar.gz`"
_SYSTEM: Final = "run as the user who owns the mesh's home, and see what the group home says"
_SLOW: Final = "look whether the disk, the network file system or the machine hangs, and try again"


def examine(facts: Facts, checks: Sequence[Check], patience: float = PATIENCE) -> list[Result]:
    """What each of the checks found, in their order; each gets `patience` seconds. Raises nothing."""
    results = []
    for check in checks:
        found = within(patience, lambda check=check: judged(check, facts))  # type: ignore[misc]
        if found is None:
            found = failed(f"no answer within {patience:g} s", _SLOW)
            patience = min(patience, IMPATIENCE)
        results.append(Result(check.group, check.name, found.status, found.detail, found.hint))
    return results


def within(seconds: float, call: Callable[[], T]) -> T | None:
    """What `call` gives; None where it takes longer or raises."""
    done: SimpleQueue[T | None] = SimpleQueue()

    def run() -> None:
        try:
            done.put(call())
        except Exception:
            done.put(None)

    # A daemon: where a file system hangs nothing can wake the thread, and the process must be able to end.
    Thread(target=run, name="within", daemon=True).start()
    try:
        return done.get(timeout=seconds)
    except Empty:
        return None


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
        return failed(f"{where}{because(error)}", _SYSTEM)
    except Exception as error:
        detail = " ".join(str(error).split())
        return failed(f"unexpected {type(error).__name__}{': ' + detail if detail else ''}", _BROKEN)
