"""A proxy looks as soon as it is told, not all the time, and now and then without being told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from meshctl.control.looking import LOOK_EVERY, SELDOM, Looking

SLACK = 60.0
"""Seconds that a busy machine may take for what takes none."""


class Diary:
    """When it was looked and cared, on the loop's clock; looking takes what the bell has said."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.bell, self.mouth = os.pipe()
        os.set_blocking(self.bell, False)
        self.looked: list[float] = []
        self.cared: list[float] = []
        self.regular: list[int] = []
        """Which of the looks came with care: where something tells, the regular ones."""

    def ring(self) -> None:
        """There is news."""
        os.write(self.mouth, b"!")

    def look(self) -> None:
        """See what is new."""
        self.looked.append(self.loop.time())
        try:
            os.read(self.bell, 100)
        except BlockingIOError:
            pass

    def care(self) -> None:
        """Do what is done regularly."""
        self.cared.append(self.loop.time())
        self.regular.append(len(self.looked))

    def until(self, count: int, since: int) -> None:
        """Run until it was looked so many times more."""

        async def wait() -> None:
            async with asyncio.timeout(SLACK + count):
                while len(self.looked) < since + count:
                    await asyncio.sleep(0.001)

        self.loop.run_until_complete(wait())


@pytest.fixture
def diary() -> Iterator[Diary]:
    loop = asyncio.new_event_loop()
    made = Diary(loop)
    yield made
    loop.close()
    os.close(made.bell)
    os.close(made.mouth)


def test_told_it_looks_at_once(diary: Diary) -> None:
    """News is looked at long before the next regular look, and the one after it not too soon."""
    Looking(diary.loop, diary.bell, diary.look, diary.care).start()
    diary.until(1, 0)
    while True:
        # After the look before, so that this one is not too early.
        diary.loop.run_until_complete(asyncio.sleep(LOOK_EVERY))
        rung, before = diary.loop.time(), len(diary.looked)
        diary.ring()
        diary.until(1, before)
        assert diary.looked[before] >= rung
        diary.ring()
        diary.until(1, before + 1)
        if diary.regular[-1] < before:
            break
        # The machine stood still until a regular look was due, which comes whenever the last one was.
    assert diary.looked[before + 1] - diary.looked[before] >= LOOK_EVERY * 0.99
    assert os.get_blocking(diary.bell) is False


def test_crowds_are_seen_together(diary: Diary) -> None:
    """However often it rings, it is looked at most every `LOOK_EVERY` seconds and never less than every `SELDOM`."""
    Looking(diary.loop, diary.bell, diary.look, diary.care).start()

    async def crowd() -> None:
        for _ in range(200):
            diary.ring()
            await asyncio.sleep(0.002)

    diary.loop.run_until_complete(crowd())
    told = [later - earlier for earlier, later in zip(diary.looked[1:], diary.looked[2:], strict=False)]
    seconds = diary.looked[-1] - diary.looked[0]
    # Regular looks come on top of those that are told.
    assert len(told) <= seconds / LOOK_EVERY + seconds / SELDOM + 2


@pytest.mark.parametrize("is_told", [False, True])
def test_it_looks_and_cares_without_being_told(diary: Diary, is_told: bool) -> None:
    """Regularly: all the time where nothing ever tells, seldom where something does; care is seldom in both."""
    began = diary.loop.time()
    Looking(diary.loop, diary.bell if is_told else -1, diary.look, diary.care).start()
    diary.until(6, 0)
    # From the beginning, not one by one: a look that a machine held up is close to the next one.
    assert diary.looked[5] - began >= 5 * (SELDOM if is_told else LOOK_EVERY) * 0.9
    for count, cared in enumerate(diary.cared):
        assert cared - began >= count * SELDOM * 0.8
    assert len(diary.cared) >= 2
