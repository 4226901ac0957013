"""What a wrapper tells: the app about the proxy, and people about the app. Decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshctl.model.views import AppView
from meshctl.observe.log import Events
from meshctl.sidecar.environment import Facts, Upstream
from meshctl.sidecar.role import OUTBOUND, SidecarRole

if TYPE_CHECKING:
    from meshctl.control.supervisor import Supervisor
    from meshctl.sidecar.wrapper import Wrapping

_HOOK: Final = str(Path(__file__).parent / "trace_hook")
_IN_PLACE: Final = frozenset({"ready", "drained"})


class Telling:
    """What is told of one wrapped app."""

    def __init__(self, supervisor: Supervisor, role: SidecarRole, command: Sequence[str]) -> None:
        self._supervisor = supervisor
        self._role = role
        self._view = AppView(0, role.app_port, "starting", " ".join(command))
        self._events = Events("sidecar")

    def __repr__(self) -> str:
        return f"<Telling {self._view!r}>"

    def state(self, state: str, **facts: Any) -> None:
        """The app is in this state now; `facts` are other fields of `AppView` that have changed."""
        self._view = msgspec.structs.replace(self._view, state=state, **facts)
        self._supervisor.tell_app(self._view)

    def drained(self, is_drained: bool) -> None:
        """Somebody has had it drained, or put back."""
        self._events.info("drained" if is_drained else "undrained")
        if self._view.state in _IN_PLACE:
            self.state("drained" if is_drained else "ready")

    def facts(self, home: str, wrapping: Wrapping) -> Facts:
        """What the app is told, with the ports that were really taken."""
        role = self._role
        upstreams = tuple(Upstream(each.service, each.is_raw, self._port(each.entry)) for each in role.upstreams)
        outbound = self._port(OUTBOUND) if wrapping.has_proxy else 0
        proxy = self._supervisor.record.id
        hook = _HOOK if wrapping.has_trace_hook and role.configured(self._supervisor.mesh).trace_hook else ""
        is_intercepted = role.is_enclosed and wrapping.has_proxy
        return Facts(role.service, role.version, proxy, home, role.app_port, outbound, upstreams, is_intercepted, hook)

    def _port(self, entry: str) -> int:
        serving = self._supervisor.changing.serving
        bound = serving.bound(entry) if serving else None
        return bound.port if bound else 0
