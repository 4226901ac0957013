"""What `meshctl up` runs in a home, beside what a configuration says that is to run: it takes up commands when it is
started, and never again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshctl.control.discovery import machine
from meshctl.model.mesh import Mesh
from meshctl.model.service import Service
from meshctl.sidecar import team_record
from meshctl.store.home import Home


def outdated(home: Home, mesh: Mesh) -> list[str]:
    """The services whose commands `meshctl up`, which runs in this home, does not run as `mesh` says; none where it
    does not run. Services that it was not asked for are nobody's business."""
    found = team_record.read(home)
    if found is None or found.machine != machine() or not found.up.is_running:
        return []
    has = _runs(found.services)
    wanted = _runs(each for each in mesh.services if found.has_all or each.name in has)
    return sorted(name for name in has.keys() | wanted.keys() if has.get(name) != wanted.get(name))


def told(names: Sequence[str]) -> str:
    """That they are run as mesh.toml says later, in words."""
    return f"the commands of {', '.join(names)} changed: `meshctl up` takes that up when it is started again"


def _runs(services: Iterable[Service]) -> dict[str, tuple[object, ...]]:
    """What counts for the commands of those that have any."""
    return {each.name: (each.commands, each.after, each.restart, each.intercept) for each in services if each.commands}
