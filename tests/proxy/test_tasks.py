"""Background tasks are named, live as long as they work, and never fail in silence."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from meshctl.proxy.tasks import spawn


def test_named_and_returning() -> None:
    """A task carries its name and gives back what its coroutine returned."""

    async def work() -> int:
        return 7

    async def main() -> tuple[str, int]:
        task = spawn(work(), name="the work")
        return task.get_name(), await task

    assert asyncio.run(main()) == ("the work", 7)


def test_kept_alive() -> None:
    """A task that nobody holds, and that waits for something nobody else holds, is not collected half way."""

    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> list[str]:
        spawn(work(), name="lonely")
        await asyncio.sleep(0)
        gc.collect()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        return [task.get_name() for task in others]

    assert asyncio.run(main()) == ["lonely"]


@pytest.mark.parametrize("is_awaited", [False, True])
def test_failures_are_reported(is_awaited: bool) -> None:
    """An exception reaches the loop's exception handler with the task's name, whether or not anybody awaits it."""
    reports: list[dict[str, Any]] = []
    failure = ValueError("broken")

    async def fail() -> None:
        raise failure

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        task = spawn(fail(), name="fragile")
        if is_awaited:
            with pytest.raises(ValueError, match="broken"):
                await task
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert [(report["exception"], "fragile" in report["message"]) for report in reports] == [(failure, True)]


def test_cancelling_is_no_failure() -> None:
    """A cancelled task is not reported."""
    reports: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        task = spawn(asyncio.Event().wait(), name="waiting")
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(main())
    assert reports == []
