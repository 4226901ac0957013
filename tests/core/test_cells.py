"""A table in shared memory: every key finds its own number, nothing live is lost, and a flood takes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.cells import GROUP_BYTES, Cells

KEYS = st.integers(-(2**63), 2**63 - 1)


def made(groups: int = 1) -> Cells:
    """An empty table."""
    return Cells(memoryview(bytearray(GROUP_BYTES * groups)))


@given(st.lists(KEYS, unique=True, max_size=7))
def test_keys_have_numbers_of_their_own(keys: list[int]) -> None:
    """As many keys as a group has places do not share any, whatever their bits."""
    cells = made()
    for number, key in enumerate(keys):
        cells.values[cells.find(key, 0.0)] = 10.0 + number
    assert [10.0 + number for number in range(len(keys))] == [cells.values[cells.find(key, 0.0)] for key in keys]


def test_the_place_of_one_at_rest_is_free() -> None:
    """A key whose number is past gives its place to a new one, which is at rest, too."""
    cells = made()
    for key in range(1, 8):
        cells.values[cells.find(key, 0.0)] = float(key)
    place = cells.find(100, 1.5)
    assert cells.values[place] <= 1.5
    assert cells.find(100, 1.5) == place
    cells.values[place] = 9.0
    assert [cells.values[cells.find(key, 1.5)] for key in range(2, 8)] == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def test_a_flood_takes_nothing_from_those_that_are_there() -> None:
    """Where all places are taken newcomers share one number, and those before them keep theirs."""
    cells = made(2)
    hot = range(14)
    for key in hot:
        cells.values[cells.find(key, 0.0)] = 100.0 + key
    shared = {cells.find(key, 1.0) for key in range(14, 5000)}
    assert len(shared) == 2
    for place in shared:
        cells.values[place] = 7.0
    assert [100.0 + key for key in hot] == [cells.values[cells.find(key, 1.0)] for key in hot]


def test_forgetting_all() -> None:
    """A table that was cleared is as good as a new one."""
    cells = made(4)
    for key in range(50):
        cells.values[cells.find(key, 0.0)] = 5.0
    cells.clear()
    assert not any(cells.values)


@pytest.mark.parametrize("size", [0, 64, GROUP_BYTES * 3, GROUP_BYTES + 8])
def test_memory_of_another_size(size: int) -> None:
    """Memory that is no power of two of groups is refused."""
    with pytest.raises(ValueError, match="power of two"):
        Cells(memoryview(bytearray(size)))
