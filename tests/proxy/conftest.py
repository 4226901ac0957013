"""What tests of the data plane share: an authority whose members they are, and another one."""

from __future__ import annotations

import pytest

from .members import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The mesh's authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the mesh does not know, and that calls itself the same."""
    return Authority(tmp_path_factory.mktemp("stranger"))
