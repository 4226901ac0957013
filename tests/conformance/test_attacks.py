"""Attacks by load and slowness, in short: whatever strangers do, every request of an honest client succeeds, and
neither a gateway nor sidecars have anything to complain of. `python -m tests.attack` is the same with thousands, and
with figures."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.attack.attackers import ATTACKS, ON_SIDECARS
from tests.attack.pair import Pair
from tests.attack.stage import Stage, honest

# Attackers are stopped anywhere, also while a connection begins: asyncio leaves that to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

MANY = 60
"""Connections of each attack."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The gateway that is attacked, and what stands behind it."""
    made = Stage(tmp_path_factory.mktemp("attack"), 4 * MANY)
    yield made
    assert made.close() == []


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The sidecars that are attacked."""
    made = Pair(tmp_path_factory.mktemp("pair"), 4 * MANY)
    yield made
    assert made.close() == []


async def _beside(stage: Stage | Pair, name: str) -> int:
    """How many requests succeeded beside an attack."""
    attack = asyncio.ensure_future(_go_on(name, *stage.ports(name)))
    try:
        await asyncio.sleep(0.2)
        return len(await honest(stage.port, 0.3, 20))
    finally:
        attack.cancel()
        with suppress(asyncio.CancelledError):
            await attack


def _served(stage: Stage | Pair, name: str) -> int:
    """The same, and nothing of the attackers left for a later test to trip over."""
    found = asyncio.run(_beside(stage, name))
    gc.collect()
    return found


async def _go_on(name: str, port: int, https: int) -> None:
    await (ATTACKS | ON_SIDECARS)[name](port, https, MANY)


@pytest.mark.parametrize("name", ATTACKS)
def test_honest_clients_are_served(stage: Stage, name: str) -> None:
    """Beside this attack, every request of an honest client is answered as it should be."""
    assert _served(stage, name) >= 20


# An app that leaves its own requests makes its sidecars shake hands for each anew: that takes as long as it takes.
@pytest.mark.parametrize("name", [name for name in ON_SIDECARS if name != "vanishing"])
def test_apps_are_served(pair: Pair, name: str) -> None:
    """Beside this attack on its sidecar and the one that it calls, every request of an app is answered."""
    assert _served(pair, name) >= 20
