"""What become the weights of a service's versions, when somebody shifts, promotes or starts over?

Weights are percentages here: whatever the file says in whatever unit is brought to a sum of 100 first, so that `v2=10`
means the same everywhere. Knows neither the store nor who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final, NoReturn

import msgspec

from meshctl.errors import MeshError, nearest
from meshctl.model.mesh import Mesh
from meshctl.model.service import Service

WHOLE: Final = 100.0
# Binary fractions: 33.3 + 33.3 + 33.4 is not 100.
_NEARLY: Final = 1e-6


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """`weights` in percent of their sum; all 0 stay 0."""
    total = sum(weights.values())
    return {name: round(weight / total * WHOLE, 9) if total > 0 else 0.0 for name, weight in weights.items()}


def effective(declared: Mapping[str, float], live: Mapping[str, float]) -> dict[str, float]:
    """The weights of the versions in `declared` (the file's) under `live` ones: a version that those do not name takes
    nothing. Where they leave nobody anything, because the versions they name have gone, the file's hold."""
    found = {name: live.get(name, 0.0) for name in declared}
    return found if any(found.values()) else dict(declared)


def overridden(mesh: Mesh, live: Mapping[str, Mapping[str, float]]) -> Mesh:
    """`mesh` with the live weights by service in the place of the file's."""
    services = tuple(_weighed(service, live.get(service.name, {})) for service in mesh.services)
    return msgspec.structs.replace(mesh, services=services)


def parse(words: Sequence[str]) -> dict[str, float]:
    """What `v1=90 v2=10%` asks for. Raises MeshError usage."""
    given: dict[str, float] = {}
    for word in words:
        name, mark, text = word.partition("=")
        try:
            weight = float(text.removesuffix("%"))
        except ValueError:
            weight = -1.0
        if not (name and mark and isfinite(weight) and weight >= 0):
            raise MeshError("usage", f'"{word}" is not a weight', hint="write it as v2=10: 10 % to version v2")
        if name in given:
            raise MeshError("usage", f'version "{name}" is given twice')
        given[name] = weight
    return given


def shifted(
    current: Mapping[str, float], given: Mapping[str, float], declared: Mapping[str, float]
) -> dict[str, float]:
    """`current` with what is `given`, in percent; what that leaves of 100 goes to the other versions in the proportions
    they have now, or in those of the file (`declared`) where they have none now. Where every version is given, the
    numbers are proportions and need not sum to 100.

    Raises MeshError not_found for an unknown version, and usage where the numbers make no split."""
    for name in given:
        check_known(name, current)
    others = {name: current[name] for name in current if name not in given}
    asked = sum(given.values())
    if not others:
        if not asked:
            raise MeshError("usage", "all weights are 0: no version would take requests", hint="give one a weight")
        return shares({name: given[name] for name in current})
    left = WHOLE - asked
    if left < -_NEARLY:
        hint = f"give every version a weight to set proportions: {', '.join(current)}"
        raise MeshError("usage", f"the weights sum to {asked:g}, more than 100", hint=hint)
    rest = _rest(others, max(left, 0.0) if left > _NEARLY else 0.0, declared)
    return {name: round(given.get(name, rest.get(name, 0.0)), 9) for name in current}


def promoted(current: Mapping[str, float], version: str) -> dict[str, float]:
    """Everything to one version. Raises MeshError not_found for an unknown one."""
    check_known(version, current)
    return {name: WHOLE if name == version else 0.0 for name in current}


def check_known(version: str, known: Mapping[str, float]) -> None:
    """Raise MeshError not_found, naming what there is, for a version that is not in `known`."""
    if version not in known:
        _unknown(version, known)


def _rest(others: Mapping[str, float], left: float, declared: Mapping[str, float]) -> dict[str, float]:
    """`left` shared among `others`."""
    if not left:
        return dict.fromkeys(others, 0.0)
    for base in (others, {name: declared.get(name, 0.0) for name in others}):
        total = sum(base.values())
        if total > 0:
            return {name: left * weight / total for name, weight in base.items()}
    if len(others) == 1:
        return dict.fromkeys(others, left)
    message = f"nobody takes the other {left:g} %: {', '.join(others)} have no weight to share it by"
    raise MeshError("usage", message, hint="give them weights too")


def _weighed(service: Service, live: Mapping[str, float]) -> Service:
    if not live:
        return service
    weights = effective({version.name: version.weight for version in service.versions}, live)
    versions = tuple(msgspec.structs.replace(version, weight=weights[version.name]) for version in service.versions)
    return msgspec.structs.replace(service, versions=versions)


def _unknown(version: str, known: Mapping[str, float]) -> NoReturn:
    hint = f"{nearest(version, known)} there are: {', '.join(known)}".lstrip()
    raise MeshError("not_found", f'there is no version "{version}"', hint=hint)
