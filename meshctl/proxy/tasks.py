"""How background work is started (named, kept alive, never failing in silence) and how it rests. Knows nothing of what
the work is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

# The event loop keeps only weak references to its tasks: without this set one that nobody awaits may vanish half way.
_running: set[asyncio.Task[Any]] = set()


def spawn(coro: Coroutine[Any, Any, _T], *, name: str) -> asyncio.Task[_T]:
    """Start `coro` as a task called `name`. It lives until it ends or is cancelled, whether or not the caller keeps it.

    An exception that leaves it is reported through the loop's exception handler at once, also where somebody awaits the
    task later: a failure that is expected is handled inside the coroutine.
    """
    task = asyncio.create_task(coro, name=name)  # noqa: TID251 - this is the one place that may: it does what the ban asks for
    _running.add(task)
    task.add_done_callback(_finished)
    return task


async def rest(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until `event` is set, or for so many seconds where they are given; whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    # KeyboardInterrupt and SystemExit have already left through the loop itself.
    if isinstance(error, Exception):
        context = {"message": f'task "{task.get_name()}" failed', "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)
