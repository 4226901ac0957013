"""Attacks by load and slowness, in short: whatever strangers do, every request of an honest client succeeds, and the
gateway has nothing to complain of. `python -m tests.attack` is the same with thousands, and with figures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.attack.attackers import ATTACKS
from tests.attack.stage import Stage, honest

MANY = 60
"""Connections of each attack."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The gateway that is attacked, and what stands behind it."""
    made = Stage(tmp_path_factory.mktemp("attack"), 4 * MANY)
    yield made
    assert made.close() == []


async def _beside(stage: Stage, name: str) -> int:
    """How many requests succeeded beside an attack."""
    port, https = stage.gateway.ports
    attack = asyncio.ensure_future(_go_on(name, port, https))
    try:
        await asyncio.sleep(0.2)
        return len(await honest(port, 0.3, 20))
    finally:
        attack.cancel()
        with suppress(asyncio.CancelledError):
            await attack


async def _go_on(name: str, port: int, https: int) -> None:
    await ATTACKS[name](port, https, MANY)


@pytest.mark.parametrize("name", ATTACKS)
def test_honest_clients_are_served(stage: Stage, name: str) -> None:
    """Beside this attack, every request of an honest client is answered as it should be."""
    assert asyncio.run(_beside(stage, name)) >= 20
