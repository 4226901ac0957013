"""What a proxy serves right now: a revision on its sockets, and the orders that tell workers of it. Opens nothing."""

from __future__ import annotations

import msgspec

from meshctl.control.revisions import Revision
from meshctl.control.sockets import Bound
from meshctl.model.mesh import Listener, Mesh
from meshctl.model.views import ListenerView
from meshctl.observe.sample import Key
from meshctl.proxy.messages import ListenerSpec, Prepare


class Overrides(msgspec.Struct, frozen=True):
    """What the command line says instead of the configuration, for this one gateway."""

    listen: tuple[Listener, ...] = ()
    workers: int | None = None
    """0 is one for each core."""
    admin: str | None = None

    def listeners(self, mesh: Mesh) -> tuple[Listener, ...]:
        """Where to listen."""
        return self.listen or mesh.gateway.listeners


class Serving:
    """A revision with the sockets it is served on. A listener's key tells workers whether they have it already: the
    same address in the clear and over TLS are two, with other certificates it is one."""

    def __init__(self, revision: Revision, listeners: dict[str, Listener], bounds: dict[str, Bound]) -> None:
        self.revision = revision
        self.bounds = bounds
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
        number = self.revision.number
        message = Prepare(number, number, self.revision.content, self._specs, tuple(key for key, _ in opened))
        return message, [handle for _, handle in opened]

    def views(self) -> tuple[ListenerView, ...]:
        """The listeners as people see them."""
        return tuple(
            ListenerView(bound.url("https" if self._listeners[name].tls else "http"), bound.address,
                         bool(self._listeners[name].tls))
            for name, bound in self.bounds.items()
        )  # fmt: skip


def live_series(mesh: Mesh) -> set[Key]:
    """The names of all that is counted under this configuration."""
    versions = {service.name: [version.name for version in service.versions] for service in mesh.services}
    live = {("", "", "")}
    for route in mesh.routes:
        service = route.service or ""
        live.update((route.name, service, version) for version in ("", *versions.get(service, ())))
    return live


def by_name(listeners: tuple[Listener, ...]) -> dict[str, Listener]:
    """Listeners by a name that stays over revisions: the configured address, numbered where it stands more
    than once (port 0)."""
    named: dict[str, Listener] = {}
    for each in listeners:
        count = sum(name.partition("#")[0] == each.address for name in named)
        named[f"{each.address}#{count}" if count else each.address] = each
    return named


def _spec(name: str, listener: Listener, bound: Bound) -> ListenerSpec:
    pairs = tuple((each.certificate, each.key) for each in listener.tls)
    return ListenerSpec(f"{'https' if pairs else 'http'}://{name}", bound.address, pairs)
