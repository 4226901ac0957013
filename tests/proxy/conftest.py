"""What tests of the data plane share: an authority whose members they are, another one, and the proxies of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshctl.model.caching import Caching
from tests.conformance.upstream import Upstream
from tests.conformance.wire import Wire

from .members import Authority
from .passage import Passage
from .shop import Shop, opened


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The mesh's authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the mesh does not know, and that calls itself the same."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def passage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Passage]:
    """A proxy in front of a service that the test is."""
    made = Passage(tmp_path_factory.mktemp("passage"))
    yield made
    made.close()


@pytest.fixture
def cached(passage: Passage) -> Passage:
    """It keeps answers, and has none yet."""
    passage.serve()
    # Nobody gives up waiting for another one's answer, however slow the machine is.
    passage.serve(cache=Caching(coalesce=60.0))
    return passage


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A sidecar in front of the services of a shop."""
    with opened(tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture
def app(shop: Shop) -> Iterator[Wire]:
    """The app's connection to it."""
    with shop.proxy.connect() as wire:
        yield wire


@pytest.fixture
def outside() -> Iterator[Upstream]:
    """A host outside the mesh, of one test alone."""
    made = Upstream("outside")
    yield made
    made.forget()
    made.listener.close()
