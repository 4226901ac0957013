"""What a proxy takes from the configuration when it starts and never again: where its admin API is, how many workers it
has. What a later revision says of these holds when it is started again."""

from __future__ import annotations

import os
from collections.abc import Sequence

from meshctl.control.roles import Role
from meshctl.model.mesh import Gateway, Mesh


class AtStart:
    """What a proxy of this role begins with, where `gateway` is configured."""

    def __init__(self, role: Role, gateway: Gateway) -> None:
        self._role = role
        self._gateway = gateway

    def __repr__(self) -> str:
        return f"<AtStart admin {self.admin}, workers {self.workers}>"

    @property
    def admin(self) -> str:
        """Where the admin API is to be served over TCP, or "off"."""
        return self._role.admin or self._gateway.admin

    @property
    def workers(self) -> int:
        """How many processes it is to have."""
        wanted = self._gateway.workers if self._role.workers is None else self._role.workers
        return wanted or len(os.sched_getaffinity(0))

    def pending(self, mesh: Mesh) -> tuple[str, ...]:
        """The settings of `mesh` that hold when the gateway is started again, as the user writes them. Those in whose
        place its command line says something never do."""
        if self._role.name != "gateway":
            return ()
        again = AtStart(self._role, mesh.gateway)
        found = {"gateway.admin": again.admin != self.admin, "gateway.workers": again.workers != self.workers}
        return tuple(name for name, differs in found.items() if differs)


def told(pending: Sequence[str]) -> str:
    """That these hold later, in words.

    >>> told(["gateway.admin"])
    'gateway.admin takes effect when the gateway is started again'
    >>> told(["gateway.admin", "gateway.workers"])
    'gateway.admin and gateway.workers take effect when the gateway is started again'
    """
    verb = "takes" if len(pending) == 1 else "take"
    return f"{' and '.join(pending)} {verb} effect when the gateway is started again"
