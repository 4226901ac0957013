"""What a proxy serves right now: a revision on its sockets, and the orders that tell workers of it. Opens nothing."""

from __future__ import annotations

from typing import Final

from meshctl.control.revisions import Revision
from meshctl.control.sockets import Bound
from meshctl.model.mesh import Listener, Mesh, encode
from meshctl.model.part import part_name
from meshctl.model.registration import Listed
from meshctl.model.steering import Steering
from meshctl.model.views import ListenerView
from meshctl.model.weights import Shares
from meshctl.observe.sample import UNCONFIGURED, Key
from meshctl.proxy.messages import ListenerSpec, Prepare

_SCHEMES: Final = {"edge": "https", "strict": "mtls", "permissive": "mtls"}


class Serving:
    """Change `number`: a revision, as `mesh` with all that is registered, on the sockets it is served on. A listener's
    key tells workers whether they have it already: the same address in the clear and over TLS are two, with other
    certificates it is one."""

    def __init__(
        self, number: int, revision: Revision, mesh: Mesh, listeners: dict[str, Listener], bounds: dict[str, Bound]
    ) -> None:
        self.number = number
        self.revision = revision
        self.mesh = mesh
        self.bounds = bounds
        self.listed: tuple[Listed, ...] = ()
        self.weights: dict[str, Shares] = {}
        self.steering = Steering()
        self._content = encode(mesh)
        self._listeners = listeners
        self._specs = tuple(_spec(name, listener, bounds[name]) for name, listener in listeners.items())
        self.keys = frozenset(spec.key for spec in self._specs)

    def __repr__(self) -> str:
        return f"<Serving revision {self.revision.number} on {', '.join(self.keys)}>"

    def order(self, index: int, known: frozenset[str]) -> tuple[Prepare, list[int]]:
        """What worker `index` is told, with the sockets of the listeners that are not `known` to it."""
        opened = [
            (spec.key, bound.sockets[index].fileno())
            for spec, bound in zip(self._specs, self.bounds.values(), strict=True)
            if spec.key not in known
        ]
        message = Prepare(
            self.number,
            self.revision.number,
            self._content,
            self._specs,
            tuple(key for key, _ in opened),
            self.listed,
            self.weights,
            self.steering,
        )
        return message, [handle for _, handle in opened]

    def views(self) -> tuple[ListenerView, ...]:
        """The listeners as people see them."""
        return tuple(
            ListenerView(bound.url(scheme), bound.address, scheme != "http", self._listeners[name].entry)
            for name, bound in self.bounds.items()
            for scheme in [_scheme(self._listeners[name])]
        )

    def bound(self, entry: str) -> Bound | None:
        """The first listener of an entry."""
        found = (name for name, listener in self._listeners.items() if listener.entry == entry)
        name = next(found, None)
        return None if name is None else self.bounds[name]


def live_series(mesh: Mesh) -> set[Key]:
    """The names of all that is counted under this configuration."""
    versions = {service.name: [version.name for version in service.versions] for service in mesh.services}
    live = set(UNCONFIGURED)
    for route in mesh.served:
        service = route.service or ""
        live.update((route.name, service, version) for version in ("", *versions.get(service, ())))
        for part in route.parts:
            name = part_name(route.name, part.name)
            live.update((name, part.service, version) for version in ("", *versions.get(part.service, ())))
    return live


def by_name(listeners: tuple[Listener, ...]) -> dict[str, Listener]:
    """Listeners by a name that stays over revisions: the configured address with what it is for, numbered where it
    stands more than once (port 0)."""
    named: dict[str, Listener] = {}
    for each in listeners:
        name = each.address if each.entry == "gateway" else f"{each.entry}@{each.address}"
        count = sum(other.partition("#")[0] == name for other in named)
        named[f"{name}#{count}" if count else name] = each
    return named


def _scheme(listener: Listener) -> str:
    return "https" if listener.tls else _SCHEMES.get(listener.mesh, "http")


def _spec(name: str, listener: Listener, bound: Bound) -> ListenerSpec:
    pairs = tuple((each.certificate, each.key) for each in listener.tls)
    scheme = "mtls+http" if listener.mesh == "permissive" else _scheme(listener)
    per_client = listener.connections_per_client
    return ListenerSpec(f"{scheme}://{name}", bound.address, pairs, listener.mesh, listener.entry, per_client)
