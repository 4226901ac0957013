"""Versions of APIs: how long each has to live, how much it is asked for, and by whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from meshctl.control.revisions import current
from meshctl.errors import MeshError, nearest
from meshctl.model.api import Api, ApiVersion
from meshctl.model.mesh import Mesh
from meshctl.model.views import ApiCallerView

if TYPE_CHECKING:
    from meshctl.control.supervisor import Supervisor
    from meshctl.observe.reading import Reading
    from meshctl.store.protocol import Store

State = Literal["current", "deprecated", "sunset", "gone"]


class VersionUse(msgspec.Struct, frozen=True):
    """A version of an API. Moments are seconds since the epoch, None where there are none."""

    api: str
    version: str
    is_default: bool
    state: State
    """deprecated from then on; sunset once that has passed; gone where it is refused since."""
    deprecated: float | None
    sunset: float | None
    link: str
    requests: int | None
    """In the last minutes; None where nobody could be asked."""


# what a proxy answers


async def caller_views(supervisor: Supervisor) -> list[ApiCallerView]:
    """Who called versions that are to go, over all workers."""
    decoder = msgspec.msgpack.Decoder(list[ApiCallerView])
    answers = await supervisor.fleet.ask("api_callers")
    return merged(view for _, payload in answers for view in decoder.decode(payload))


def merged(views: Iterable[ApiCallerView]) -> list[ApiCallerView]:
    """Each caller of a version once, who came most often first."""
    found: dict[tuple[str, str, str, str], ApiCallerView] = {}
    for each in views:
        key = each.api, each.version, each.via, each.caller
        before = found.get(key)
        if before is not None:
            last = max(before.last_seen, each.last_seen)
            each = msgspec.structs.replace(each, count=before.count + each.count, last_seen=last)  # noqa: PLW2901
        found[key] = each
    return sorted(found.values(), key=lambda each: (each.api, each.version, -each.count, each.via, each.caller))


# what is asked


def configured(store: Store) -> Mesh:
    """The mesh that is applied."""
    revision = current(store)
    return revision.mesh() if revision is not None else Mesh()


def in_use(mesh: Mesh, readings: Sequence[Reading] | None, now: float) -> list[VersionUse]:
    """Every version of every API, with what proxies tell of it."""
    counts = _requests(mesh, readings) if readings is not None else None
    return [
        VersionUse(
            api.name,
            each.name,
            each.name == api.default,
            state(api, each, now),
            each.deprecated,
            each.sunset,
            each.link,
            None if counts is None else counts.get((api.name, each.name), 0),
        )
        for api in mesh.apis
        for each in api.versions
    ]


def state(api: Api, version: ApiVersion, now: float) -> State:
    """How far on its way out a version is."""
    if version.sunset is not None and now >= version.sunset:
        return "gone" if api.enforce_sunset else "sunset"
    return "deprecated" if version.deprecated is not None and now >= version.deprecated else "current"


def find(mesh: Mesh, name: str) -> Api:
    """The API called so. Raises MeshError not_found."""
    api = next((each for each in mesh.apis if each.name == name), None)
    if api is None:
        hint = nearest(name, [each.name for each in mesh.apis]) or "`meshctl api ls` lists those there are"
        raise MeshError("not_found", f'there is no api "{name}"', hint=hint)
    return api


def find_version(api: Api, name: str) -> ApiVersion:
    """Its version called so. Raises MeshError not_found."""
    version = next((each for each in api.versions if name in each.spellings), None)
    if version is None:
        names = [each.name for each in api.versions]
        hint = nearest(name, names) or f"there are: {', '.join(names)}"
        raise MeshError("not_found", f'api "{api.name}" has no version "{name}"', hint=hint)
    return version


def _requests(mesh: Mesh, readings: Sequence[Reading]) -> Mapping[tuple[str, str], int]:
    from meshctl.observe.api_metrics import counted

    by_route = {route.name: (route.api.api, route.api.version) for route in mesh.routes if route.api is not None}
    return counted(by_route, (each for reading in readings for each in reading.series))
